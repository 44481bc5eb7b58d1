"""Two words on the command line put another backbone under a recipe."""

from pathlib import Path

import pytest
import torch

from yolov7.config import load_config
from yolov7.d2 import Boxes, Instances
from yolov7.modeling import build_detector

RECIPE = Path(__file__).parents[2] / "configs" / "digits" / "darknet53.yaml"
SMALL = ["mobilenetv3_small_050", "resnet10t"]
OTHERS = [
    "resnet50d", "res2net50_26w_4s", "swin_tiny_patch4_window7_224", "pvt_v2_b0",
    "efficientnet_b0", "regnetx_004", "convnext_atto", "densenet121", "ghostnet_050",
    "mobilevit_xxs", "repvgg_a0", "edgenext_xx_small",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_recipe_trains_and_infers_on_any_backbone_of_timm(name: str) -> None:
    torch.manual_seed(0)
    words = ["MODEL.BACKBONE.NAME", "TimmBackbone", "MODEL.TIMM.NAME", name]
    model = build_detector(load_config(RECIPE, [*words, "MODEL.DEVICE", "cpu"]))
    # What a fresh training does; it refuses parts that would stay frozen at random numbers.
    model.backbone.initialize_weights()
    boxes = torch.tensor([[8.0, 8.0, 30.0, 44.0], [50.0, 40.0, 70.0, 80.0]])
    objects = Instances((96, 96), gt_boxes=Boxes(boxes))
    objects.gt_classes = torch.tensor([3, 8])
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    batch = [{"image": image, "instances": objects} for image in images]
    losses = model(batch)
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    without = [
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert not without
    model.eval()
    with torch.no_grad():
        detections = model(batch[:1])[0]["instances"]
    assert detections.image_size == (96, 96)
    assert detections.scores.isfinite().all()
