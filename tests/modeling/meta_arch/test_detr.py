"""DETR as a whole: sizes of the published models, batches, training, precision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from yolov7.config import load_config
from yolov7.d2 import BitMasks, Boxes, Instances
from yolov7.modeling import build_detector, reparameterize
from yolov7.modeling.reparameterization import probe_detector, relative_difference
from yolov7.utils.errors import ConfigError, DatasetError

CONFIGS = Path(__file__).parents[3] / "configs" / "coco" / "detr"
MASKS = ("MODEL.MASK_ON", True, "MODEL.NECK.IN_STRIDES", [4, 8, 16, 32])
CLASSES = ("MODEL.YOLO.CLASSES", 91)
PRE_NORM = ("MODEL.DETR.PRE_NORM", True)
LEARNED = ("MODEL.DETR.POSITIONS", "learned")
FROZEN = ("MODEL.DETR.FREEZE_DETECTOR", True)

# Parameters, and those that are trained; 80 classes have 11 rows of 256 weights and a bias less.
SIZES = [
    ("detr_r50", (), 41_521_941, 41_299_541),
    ("detr_r50_dc5", (), 41_521_941, 41_299_541),
    ("detr_r101", (), 60_461_845, 60_239_445),
    ("detr_r50", CLASSES, 41_524_768, 41_302_368),
    ("detr_r101", CLASSES, 60_464_672, 60_242_272),
    ("detr_r50", (*CLASSES, *PRE_NORM), 41_525_280, 41_302_880),
    ("detr_r50", (*CLASSES, *LEARNED), 41_537_568, 41_315_168),
    ("detr_r50", (*CLASSES, *MASKS), 42_858_425, 42_636_025),
    ("detr_r50", (*CLASSES, *MASKS, *FROZEN), 42_858_425, 1_333_657),
    ("detr_r50", (*MASKS, "MODEL.YOLO.CLASSES", 250), 42_899_288, 42_676_888),
]


@pytest.mark.parametrize(("name", "overrides", "parameters", "trained"), SIZES)
def test_sizes_are_the_published_ones(name, overrides, parameters, trained):
    cfg = load_config(CONFIGS / f"{name}.yaml", ["MODEL.DEVICE", "meta", *overrides])
    with torch.device("meta"):
        model = build_detector(cfg)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trained
    buffers = sum(value.numel() for value in model.state_dict().values()) - parameters
    assert buffers == (210_688 if name == "detr_r101" else 106_240)


def small_config(*overrides):
    """A DETR of one second: the smallest ResNet, narrow and shallow."""
    small = {
        "MODEL.DEVICE": "cpu",
        "MODEL.TIMM.NAME": "resnet10t",
        "MODEL.BACKBONE.FREEZE_AT": 0,
        "MODEL.YOLO.CLASSES": 3,
        "MODEL.NECK.CHANNELS": 128,
        "MODEL.DETR.DIM_FEEDFORWARD": 64,
        "MODEL.DETR.ENC_LAYERS": 1,
        "MODEL.DETR.DEC_LAYERS": 2,
        "MODEL.DETR.NUM_OBJECT_QUERIES": 6,
    }
    flat = [part for pair in small.items() for part in pair]
    return load_config(CONFIGS / "detr_r50.yaml", [*flat, *overrides])


def build_small(*overrides):
    torch.manual_seed(0)
    return build_detector(small_config(*overrides))


def make_sample(height, width, boxes=(), *, masks=False):
    instances = Instances((height, width), gt_boxes=Boxes(torch.tensor(boxes).reshape(-1, 4)))
    instances.gt_classes = torch.arange(len(boxes)) % 3
    if masks:
        bitmaps = torch.zeros(len(boxes), height, width, dtype=torch.bool)
        for bitmap, (x0, y0, x1, y1) in zip(bitmaps, boxes, strict=True):
            bitmap[int(y0) : int(y1), int(x0) : int(x1)] = True
        instances.gt_masks = BitMasks(bitmaps)
    generator = torch.Generator().manual_seed(height)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    return {"image": image, "height": height, "width": width, "instances": instances}


BOXES = [[4.0, 6.0, 28.0, 30.0], [40.0, 10.0, 90.0, 60.0]]


def test_a_batch_is_as_large_as_its_largest_sides_and_padded_with_0():
    model = build_small()
    images, offsets = model.preprocess([make_sample(50, 90), make_sample(61, 33)])
    assert images.tensor.shape == (2, 3, 61, 90)
    assert not any(map(any, offsets))
    assert not images.tensor[0, :, 50:].any() and not images.tensor[1, :, :, 33:].any()
    first = make_sample(50, 90)["image"][:, 0, 0].double()
    mean = torch.tensor([123.675, 116.28, 103.53], dtype=torch.float64)
    std = torch.tensor([58.395, 57.12, 57.375], dtype=torch.float64)
    assert torch.allclose(images.tensor[0, :, 0, 0].double(), (first - mean) / std, atol=1e-6)


@pytest.mark.parametrize("overrides", [(), MASKS], ids=["boxes", "masks"])
def test_losses_of_every_layer_and_gradients_everywhere(overrides):
    model = build_small(*overrides)
    with_masks = bool(overrides)
    batch = [make_sample(50, 90, BOXES, masks=with_masks), make_sample(61, 96, masks=with_masks)]
    losses = model(batch)
    names = {"loss_class", "loss_l1", "loss_box"}
    expected = names | {f"{name}_0" for name in names}
    assert set(losses) == (expected | {"loss_mask", "loss_dice"} if with_masks else expected)
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_frozen_detector_learns_masks_alone():
    model = build_small(*MASKS, *FROZEN)
    losses = model([make_sample(50, 90, BOXES, masks=True)])
    sum(losses.values()).backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learned and all(name.startswith("head.mask_head.") for name in learned)


def test_a_frozen_detector_keeps_still_in_training():
    """Its batch norms are in eval mode, and there is no dropout."""
    model = build_small(*MASKS, *FROZEN, "MODEL.TIMM.NORM", "")
    trained = {name for name, module in model.named_modules() if module.training}
    parts = ("backbone", "neck", "head")
    assert {name for name in trained if name.startswith(parts)} == {
        name for name, _ in model.named_modules() if name.startswith("head.mask_head")
    }
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = [model([make_sample(50, 90, BOXES, masks=True)]) for _ in range(2)]
    assert losses[0] == losses[1]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.eval().modules())


def test_a_frozen_detector_wants_weights():
    with pytest.raises(ConfigError, match=r"FREEZE_DETECTOR: .* Name a trained one"):
        build_small(*MASKS, *FROZEN).initialize_weights()
    build_small(*MASKS).initialize_weights()


def test_masks_over_fewer_maps():
    """Two finer maps end at stride 8."""
    model = build_small("MODEL.MASK_ON", True, "MODEL.NECK.IN_STRIDES", [8, 16, 32])
    images, _ = model.preprocess([make_sample(64, 96)])
    assert model.predict(images).mask_logits.shape == (1, 6, 8, 12)


def test_masks_are_pasted_into_the_original_image():
    model = build_small(*MASKS).eval()
    sample = {**make_sample(50, 90), "height": 100, "width": 180}
    with torch.no_grad():
        (found,) = model([sample, make_sample(61, 96)])[:1]
    masks = found["instances"].pred_masks
    assert masks.shape == (6, 100, 180) and masks.dtype == torch.bool


def test_detections_are_all_queries_in_their_order_and_original_pixels():
    model = build_small().eval()
    sample = {**make_sample(50, 90), "height": 100, "width": 360}
    with torch.no_grad():
        (found,) = model([sample])
        images, _ = model.preprocess([sample])
        predictions = model.predict(images)
    boxes = predictions.boxes_norm[0, 0]
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
    expected = corners * torch.tensor([360.0, 100.0, 360.0, 100.0])
    assert torch.allclose(found["instances"].pred_boxes.tensor, expected, atol=1e-3)
    scores, classes = predictions.class_logits[0, 0].softmax(-1)[:, :3].max(-1)
    assert torch.allclose(found["instances"].scores, scores)
    assert torch.equal(found["instances"].pred_classes, classes)


def test_more_objects_than_queries():
    boxes = [[float(n), 2.0, n + 9.0, 20.0] for n in range(7)]
    with pytest.raises(DatasetError, match=r"7 objects"):
        build_small()([make_sample(50, 90, boxes)])


def test_the_same_seed_draws_the_same_dropout():
    model = build_small()
    batch = [make_sample(50, 90, BOXES)]
    totals = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        totals.append(sum(model(batch).values()).item())
    assert totals[0] == totals[1] != totals[2]


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


@pytest.mark.parametrize("overrides", [(), MASKS], ids=["boxes", "masks"])
def test_deployed_equals_and_reads_one_layer(overrides):
    model = build_small(*overrides).eval()
    smaller = reparameterize(model)
    outputs = [probe_detector(each.double()) for each in (smaller, model)]
    assert outputs[0].num_layers == 1
    assert 0.0 <= relative_difference(*outputs) < 1e-5


def test_any_backbone_is_one_line():
    for overrides in (
        ("MODEL.BACKBONE.NAME", "CSPDarknet", "MODEL.YOLO.WIDTH_MUL", 0.25),
        ("MODEL.TIMM.NAME", "regnetx_002"),
        (
            "MODEL.TIMM.NAME",
            "resnet18",
            "MODEL.TIMM.OUTPUT_STRIDE",
            16,
            "MODEL.NECK.IN_STRIDES",
            [16],
        ),
    ):
        losses = build_small(*overrides)([make_sample(50, 90, BOXES), make_sample(61, 33)])
        assert all(loss.isfinite() for loss in losses.values())


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"reads queries, and DecoupledHead .* Fitting: DETRHead"):
        build_small("MODEL.HEAD.NAME", "DecoupledHead")
    with pytest.raises(ConfigError, match=r"leaves nothing to train without MODEL\.MASK_ON"):
        build_small(*FROZEN)
    with pytest.raises(ConfigError, match=r"DETR\.POSITIONS: there is no 'sinus'.*'sine'"):
        build_small("MODEL.DETR.POSITIONS", "sinus")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("DETR.NUM_OBJECT_QUERIES", 0, "at least 1, got 0"),
        ("DETR.DEC_LAYERS", 0, "at least 1, got 0"),
        ("DETR.ENC_LAYERS", -1, "at least 0, got -1"),
        ("DETR.DIM_FEEDFORWARD", 0, "at least 1, got 0"),
        ("DETR.NHEADS", 0, "at least 1, got 0"),
        ("DETR.NHEADS", 7, "a divisor of 128, "),
        ("DETR.DROPOUT", 2.0, "a share in [0, 1), got 2.0"),
        ("DETR.DROPOUT", -0.1, "a share in [0, 1), got -0.1"),
        ("NECK.CHANNELS", 0, "at least 1, got 0"),
        ("YOLO.CLASSES", 0, "at least 1, got 0"),
        ("AUXILIARY_HEAD.CHANNELS", [8], "[] for META_ARCHITECTURE DETR"),
        ("BOX_CODER.NAME", "YOLOXBoxCoder", "'' for META_ARCHITECTURE DETR"),
    ],
)
def test_numbers_that_do_not_fit_are_told(key, value, expected):
    with pytest.raises(ConfigError, match=re.escape(f"MODEL.{key}: expected {expected}")):
        build_small(f"MODEL.{key}", value)


def test_a_prior_is_a_probability():
    with pytest.raises(ConfigError, match=r"HEAD\.PRIOR_PROBABILITY: expected between 0 and 1"):
        build_small("MODEL.CRITERION.CLASS_LOSS", "focal", "MODEL.HEAD.PRIOR_PROBABILITY", 1.0)


def test_without_encoder_layers_the_decoder_reads_the_map_itself():
    losses = build_small("MODEL.DETR.ENC_LAYERS", 0)([make_sample(50, 90, BOXES)])
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


@pytest.mark.parametrize(("loss", "logits"), [("softmax", 2), ("focal", 1)])
def test_a_single_class(loss, logits):
    model = build_small("MODEL.YOLO.CLASSES", 1, "MODEL.CRITERION.CLASS_LOSS", loss)
    sample = make_sample(50, 90, BOXES[:1])
    assert model.head.class_predictor.out_features == logits
    losses = model([sample])
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert model.head.class_predictor.weight.grad.abs().max() > 0
    with torch.no_grad():
        (found,) = model.eval()([sample])
    assert len(found["instances"]) == 6 and not found["instances"].pred_classes.any()
