"""detectron2's backbones that no config builds by itself, under our necks and heads."""

from __future__ import annotations

import pytest
import torch

from yolov7.d2 import BACKBONE_REGISTRY, Boxes, Instances
from yolov7.modeling import build_detector

pytestmark = pytest.mark.detectron2


def vitdet(backbone):
    vit = backbone.ViT(
        img_size=64, embed_dim=32, depth=2, num_heads=2, window_size=2, window_block_indexes=[0],
        use_rel_pos=True, out_feature="last_feat",
    )  # fmt: skip
    return backbone.SimpleFeaturePyramid(
        vit, "last_feat", out_channels=32, scale_factors=(2.0, 1.0, 0.5), norm="LN"
    )


def swin(backbone):
    # Alone, detectron2's Swin has no size_divisibility: the property reads what nobody sets.
    transformer = backbone.SwinTransformer(
        embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8), window_size=4,
        out_indices=(1, 2, 3),
    )  # fmt: skip
    return backbone.FPN(transformer, ["p1", "p2", "p3"], out_channels=32)


def regnet(backbone):
    from detectron2.modeling.backbone import regnet as parts

    return backbone.RegNet(
        stem_class=parts.SimpleStem, stem_width=8, block_class=parts.ResBottleneckBlock,
        depth=13, w_a=36.44, w_0=24, w_m=2.49, group_width=8, out_features=["s2", "s3", "s4"],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "make, neck", [(vitdet, "Identity"), (swin, "Identity"), (regnet, "CSPPAFPN")]
)
def test_steps_with_a_gradient_everywhere(detectron2, make_config, make, neck):
    name = f"interop_{make.__name__}"
    if name not in BACKBONE_REGISTRY:

        def build(cfg, input_shape):
            return make(detectron2.modeling.backbone)

        build.__name__ = name
        BACKBONE_REGISTRY.register(build)
    model = build_detector(make_config("MODEL.BACKBONE.NAME", name, "MODEL.NECK.NAME", neck))
    instances = Instances((64, 96), gt_boxes=Boxes([[8.0, 8, 40, 50], [30, 20, 90, 60]]))
    instances.gt_classes = torch.tensor([1, 4])
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, 64, 96), generator=generator).byte()
    losses = model.train()([{"image": image, "instances": instances} for image in images])
    sum(losses.values()).backward()
    without = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert without == []
    model.eval()
    with torch.no_grad():
        alone = model([{"image": images[0, :, :50, :70]}])[0]["instances"]
    assert alone.image_size == (50, 70) and len(alone) > 0
