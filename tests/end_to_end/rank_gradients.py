"""Writes the gradients of one batch of a small model in float64, by as many ranks as there are.

Arguments: the file to write, a config file, KEY VALUE pairs.
"""

import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from yolov7.config import load_config
from yolov7.data import build_train_loader
from yolov7.modeling import build_detector

_, path, config, *opts = sys.argv
dist.init_process_group("gloo")
cfg = load_config(config, opts)
torch.manual_seed(0)
model = build_detector(cfg).double()
if "loss_l1" in model.criterion.loss_weights:
    model.criterion.loss_weights["loss_l1"] = 1.0
for module in model.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.eval()
batch = next(iter(build_train_loader(cfg, seed=1)))
parallel = DistributedDataParallel(model, broadcast_buffers=False)
losses = parallel(batch)
sum(losses.values()).backward()
total = torch.stack([loss.detach() for loss in losses.values()]) / dist.get_world_size()
dist.all_reduce(total)
if dist.get_rank() == 0:
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    torch.save({"gradients": gradients, "losses": total}, path)
dist.destroy_process_group()
