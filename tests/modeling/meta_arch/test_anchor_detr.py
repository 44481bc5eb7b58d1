"""Anchor DETR as a whole: sizes of the published models, batches, training, precision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from yolov7.config import load_config
from yolov7.d2 import Boxes, Instances
from yolov7.modeling import build_detector, reparameterize
from yolov7.modeling.reparameterization import probe_detector, relative_difference
from yolov7.utils.errors import ConfigError, DatasetError

CONFIGS = Path(__file__).parents[3] / "configs" / "coco" / "detr"
CLASSES = ("MODEL.YOLO.CLASSES", 91)
GRID = ("MODEL.ANCHOR_DETR.POINTS", "grid")
PLAIN = ("MODEL.ANCHOR_DETR.ATTENTION", "plain")
R101 = ("MODEL.TIMM.NAME", "resnet101")

# Parameters, and those that are trained; 80 classes have 11 rows of 256 weights and a bias less.
# The authors' plain model has two more linear layers, 131,584 parameters, that it does not use.
SIZES = [
    ("anchordetr_r50", (), 37_035_884, 36_813_484),
    ("anchordetr_r50_dc5", (), 37_035_884, 36_813_484),
    ("anchordetr_r50", CLASSES, 37_038_711, 36_816_311),
    ("anchordetr_r50_dc5", CLASSES, 37_038_711, 36_816_311),
    ("anchordetr_r50", (*CLASSES, *R101), 55_978_615, 55_756_215),
    ("anchordetr_r50", (*CLASSES, *GRID), 37_038_111, 36_815_711),
    ("anchordetr_r50", (*CLASSES, *PLAIN), 35_459_703 - 131_584, 35_237_303 - 131_584),
]


@pytest.mark.parametrize(("name", "overrides", "parameters", "trained"), SIZES)
def test_sizes_are_the_published_ones(name, overrides, parameters, trained):
    cfg = load_config(CONFIGS / f"{name}.yaml", ["MODEL.DEVICE", "meta", *overrides])
    with torch.device("meta"):
        model = build_detector(cfg)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained
    buffers = sum(value.numel() for value in model.state_dict().values()) - parameters
    assert buffers == (210_688 if R101[0] in overrides else 106_240)


def test_parts_have_the_published_sizes():
    cfg = load_config(CONFIGS / "anchordetr_r50.yaml", ["MODEL.DEVICE", "meta", *CLASSES])
    with torch.device("meta"):
        model = build_detector(cfg)
    sizes = [
        sum(p.numel() for p in part.parameters())
        for part in (model.head, model.neck, model.backbone)
    ]
    assert sizes == [13_058_743, 525_056, 23_454_912]


def small_config(*overrides):
    """An Anchor DETR of one second: the smallest ResNet, narrow and shallow."""
    small = {
        "MODEL.DEVICE": "cpu",
        "MODEL.TIMM.NAME": "resnet10t",
        "MODEL.BACKBONE.FREEZE_AT": 0,
        "MODEL.YOLO.CLASSES": 3,
        "MODEL.NECK.CHANNELS": 64,
        "MODEL.ANCHOR_DETR.DIM_FEEDFORWARD": 64,
        "MODEL.ANCHOR_DETR.ENC_LAYERS": 1,
        "MODEL.ANCHOR_DETR.DEC_LAYERS": 2,
        "MODEL.ANCHOR_DETR.NUM_POINTS": 3,
        "MODEL.ANCHOR_DETR.NUM_PATTERNS": 2,
    }
    flat = [part for pair in small.items() for part in pair]
    return load_config(CONFIGS / "anchordetr_r50.yaml", [*flat, *overrides])


def build_small(*overrides):
    torch.manual_seed(0)
    return build_detector(small_config(*overrides))


def make_sample(height, width, boxes=()):
    instances = Instances((height, width), gt_boxes=Boxes(torch.tensor(boxes).reshape(-1, 4)))
    instances.gt_classes = torch.arange(len(boxes)) % 3
    generator = torch.Generator().manual_seed(height)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    return {"image": image, "height": height, "width": width, "instances": instances}


BOXES = [[4.0, 6.0, 28.0, 30.0], [40.0, 10.0, 90.0, 60.0]]


@pytest.mark.parametrize("overrides", [(), PLAIN, GRID], ids=["row_column", "plain", "grid"])
def test_losses_of_every_layer_and_gradients_everywhere(overrides):
    model = build_small(*overrides)
    losses = model([make_sample(50, 90, BOXES), make_sample(61, 96)])
    names = {"loss_class", "loss_l1", "loss_box"}
    assert set(losses) == names | {f"{name}_0" for name in names}
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_without_objects_every_parameter_still_gets_a_gradient():
    model = build_small()
    losses = model([make_sample(50, 90), make_sample(61, 96)])
    assert all(not loss for name, loss in losses.items() if "class" not in name)
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_batch_is_its_images_on_the_same_canvas():
    """In eval mode: batch norms know nothing of the batch then."""
    model = build_small().double().eval()
    batch = [make_sample(50, 90, BOXES), make_sample(61, 33, BOXES[:1])]
    with torch.no_grad():
        images, _ = model.preprocess(batch)
        together = model.head(model.neck(model.backbone(images.tensor)), images)
        for index, size in enumerate(images.image_sizes):
            one = type(images)(images.tensor[index : index + 1], [size])
            alone = model.head(model.neck(model.backbone(one.tensor)), one)
            for name in ("class_logits", "boxes_norm"):
                expected = getattr(together, name)[:, index : index + 1]
                assert torch.allclose(getattr(alone, name), expected, rtol=0, atol=1e-10)


def test_detections_are_the_best_pairs_in_original_pixels():
    """Six queries of three classes: the best 10 of 18 pairs, best first."""
    model = build_small("TEST.DETECTIONS_PER_IMAGE", 10).eval()
    sample = {**make_sample(50, 90), "height": 100, "width": 360}
    with torch.no_grad():
        (found,) = model([sample])
        images, _ = model.preprocess([sample])
        predictions = model.predict(images)
    scores = predictions.class_logits[0, 0].sigmoid().flatten()
    best = sorted(range(18), key=lambda index: -scores[index].item())[:10]
    instances = found["instances"]
    assert torch.allclose(instances.scores, scores[best])
    assert instances.pred_classes.tolist() == [index % 3 for index in best]
    boxes = predictions.boxes_norm[0, 0, [index // 3 for index in best]]
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
    expected = corners * torch.tensor([360.0, 100.0, 360.0, 100.0])
    assert torch.allclose(instances.pred_boxes.tensor, expected, atol=1e-3)


def test_more_objects_than_queries():
    boxes = [[float(n), 2.0, n + 9.0, 20.0] for n in range(7)]
    with pytest.raises(DatasetError, match=r"7 objects"):
        build_small()([make_sample(50, 90, boxes)])


def test_bfloat16_trains_and_detects():
    model = build_small()
    batch = [make_sample(50, 90, BOXES)]
    exact = model.eval().losses(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.losses(batch)
        sum(mixed.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    for name, loss in exact.items():
        assert mixed[name].dtype == torch.float32
        assert mixed[name].item() == pytest.approx(loss.item(), rel=0.05), name


def test_deployed_equals_and_reads_one_layer():
    model = build_small().eval()
    outputs = [probe_detector(each.double()) for each in (reparameterize(model), model)]
    assert outputs[0].num_layers == 1
    assert relative_difference(*outputs) < 1e-5


def test_softmax_is_one_line():
    model = build_small("MODEL.CRITERION.CLASS_LOSS", "softmax")
    assert model.head.class_predictor.out_features == 4
    losses = model([make_sample(50, 90, BOXES)])
    assert all(loss.isfinite() for loss in losses.values())


def test_any_backbone_is_one_line():
    for overrides in (
        ("MODEL.BACKBONE.NAME", "CSPDarknet", "MODEL.YOLO.WIDTH_MUL", 0.25),
        ("MODEL.TIMM.NAME", "regnetx_002"),
    ):
        overrides = (*overrides, "MODEL.TIMM.NORM", "")
        losses = build_small(*overrides)([make_sample(50, 90, BOXES), make_sample(61, 33)])
        assert all(loss.isfinite() for loss in losses.values())


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"AnchorDETR reads queries, .* Fitting: AnchorDETRHead"):
        build_small("MODEL.HEAD.NAME", "DecoupledHead")
    with pytest.raises(ConfigError, match=r"MASK_ON: META_ARCHITECTURE AnchorDETR finds boxes"):
        build_small("MODEL.MASK_ON", True)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("ANCHOR_DETR.NHEADS", 7, "a divisor of 64, "),
        ("ANCHOR_DETR.DEC_LAYERS", 0, "at least 1"),
        ("ANCHOR_DETR.ENC_LAYERS", -1, "at least 0"),
        ("ANCHOR_DETR.DROPOUT", 1.0, "a share in "),
        ("AUXILIARY_HEAD.CHANNELS", [8], "[] for META_ARCHITECTURE AnchorDETR"),
        ("BOX_CODER.NAME", "YOLOXBoxCoder", "'' for META_ARCHITECTURE AnchorDETR"),
    ],
)
def test_numbers_that_do_not_fit_are_told(key, value, expected):
    message = re.escape(f"MODEL.{key}: expected {expected}")
    with pytest.raises(ConfigError, match=message):
        build_small(f"MODEL.{key}", value)


def test_the_projection_starts_as_the_authors_do():
    """Xavier's bound is sqrt(6 / (fan in + fan out)); PyTorch's own would be 1 / sqrt(fan in)."""
    conv = build_small().neck.conv
    bound = (6 / (conv.in_channels + conv.out_channels)) ** 0.5
    assert conv.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert not conv.bias.any()


def test_a_single_class():
    model = build_small("MODEL.YOLO.CLASSES", 1)
    sample = make_sample(50, 90, BOXES[:1])
    assert model.head.class_predictor.out_features == 1
    losses = model([sample])
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert model.head.class_predictor.weight.grad.abs().max() > 0
    with torch.no_grad():
        (found,) = model.eval()([sample])
    assert len(found["instances"]) == 6 and not found["instances"].pred_classes.any()
