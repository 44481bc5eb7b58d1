"""One rank of a comparison: a part of a batch through synchronised batch norm.

Arguments: the file to write, the device. Rank and world size come from the environment, as under
torchrun. The model is converted and wrapped as for a training.
"""

import sys

import torch
import torch.distributed as dist
from torch import nn

from yolov7.config import get_config
from yolov7.engine.training_model import build_training_model, distribute

_, path, device = sys.argv
# Not NCCL: it refuses two ranks on one GPU.
dist.init_process_group("gloo")
cfg = get_config()
cfg.merge_from_list(
    ["MODEL.META_ARCHITECTURE", "YOLOX", "MODEL.BACKBONE.NAME", "CSPDarknet",
     "MODEL.BACKBONE.FREEZE_AT", 0,
     "MODEL.YOLO.WIDTH_MUL", 0.125, "MODEL.YOLO.DEPTH_MUL", 0.33, "MODEL.DEVICE", device,
     "MODEL.PIXEL_MEAN", [0.0, 0.0, 0.0], "MODEL.SYNC_BATCH_NORM", True]
)  # fmt: skip
torch.manual_seed(0)
model = build_training_model(cfg).backbone.double()
parallel = distribute(model)
generator = torch.Generator().manual_seed(1)
images = torch.rand(4, 3, 64, 64, generator=generator, dtype=torch.float64)
mine = images.chunk(dist.get_world_size())[dist.get_rank()].to(device)
maps = parallel(mine)
# A sum over the global batch: DistributedDataParallel averages over ranks.
loss = sum((value**2).sum() for value in maps.values()) * dist.get_world_size()
loss.backward()
if dist.get_rank() == 0:
    torch.save(
        {
            "synchronised": sum(isinstance(m, nn.SyncBatchNorm) for m in model.modules()),
            "gradients": {n: p.grad.cpu() for n, p in model.named_parameters()},
            "buffers": {n: b.cpu() for n, b in model.named_buffers()},
        },
        path,
    )
dist.destroy_process_group()
