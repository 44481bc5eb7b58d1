"""The matrix: backbone, neck and head are a config line each, whatever the other two are."""

import itertools

import pytest
import torch
from torch import nn

from yolov7.analysis import cell_config, matrix_backbones
from yolov7.d2 import Boxes, Instances
from yolov7.modeling import build_detector
from yolov7.modeling.reparameterization import relative_difference, reparameterize

# The smallest of each family of timm's models that the matrix names.
SMALLEST = {
    "resnet18": "resnet18", "resnet50": None, "resnet50d": None,
    "resnet50d, deformable": "resnet26d", "res2net50_26w_4s": "res2net50_26w_4s",
    "swin_tiny_patch4_window7_224": "swin_tiny_patch4_window7_224",
    "pvt_v2_b0": "pvt_v2_b0", "pvt_v2_b2": None, "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b2": None, "regnetx_004": "regnetx_002", "regnety_004": "regnety_002",
    "convnext_tiny": "convnext_atto", "mobilenetv3_large_100": "mobilenetv3_small_050",
}  # fmt: skip
BACKBONES = [name for name in matrix_backbones() if SMALLEST.get(name, name)]
CLASSIC_NECKS = ["FPN", "PAFPN", "BiFPN"]
HEADS = ["AnchorHead", "DecoupledAnchorHead", "DecoupledHead"]
CELLS = list(itertools.product(BACKBONES, CLASSIC_NECKS, HEADS))
YOLOF_CELLS = list(itertools.product(BACKBONES, ["DilatedEncoder"], ["YOLOFHead"]))

LARGER = [
    "resnet34", "resnet50", "resnet101", "resnet50d", "res2net50d",
    "swin_small_patch4_window7_224", "swin_base_patch4_window7_224",
    "pvt_v2_b1", "pvt_v2_b2", "pvt_v2_b3", "pvt_v2_b4", "pvt_v2_b5",
    "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "regnetx_004", "regnety_004",
    "convnext_tiny", "mobilenetv3_large_100",
]  # fmt: skip
# One neck and head each.
LARGER_CELLS = [
    (model, neck, head)
    for model, (neck, head) in zip(
        LARGER, itertools.cycle(itertools.product(CLASSIC_NECKS, HEADS)), strict=False
    )
]


def covering(cells):
    """Each backbone once, with another neck and head than the one before it."""
    pairs = list(dict.fromkeys((neck, head) for _, neck, head in cells))
    return {(name, *pairs[number % len(pairs)]) for number, name in enumerate(BACKBONES)}


FEW = covering(CELLS)


def narrow_config(backbone, neck, head):
    """A cell with the smallest model of the backbone's family, and narrow."""
    cfg = cell_config(backbone, neck, head)
    cfg.defrost()
    if backbone in SMALLEST:
        cfg.MODEL.TIMM.NAME = SMALLEST[backbone]
    cfg.MODEL.YOLO.CLASSES, cfg.MODEL.YOLO.CONF_THRESHOLD = 3, 0.2
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.125, 0.33
    cfg.MODEL.NECK.CHANNELS, cfg.MODEL.BIFPN.REPEATS = 32, 1
    cfg.MODEL.YOLOF.HIDDEN_CHANNELS = 16
    return cfg


def make_batch(*counts, size=(64, 96)):
    """Images with so many objects each, one well inside each of three cells' windows."""
    batch = []
    for count in counts:
        boxes = torch.tensor(
            [[4.0, 6.0, 28.0, 30.0], [40.0, 10.0, 90.0, 60.0], [2.0, 40.0, 9.0, 50.0]]
        )
        instances = Instances(size, gt_boxes=Boxes(boxes[:count]))
        instances.gt_classes = torch.arange(3)[:count]
        image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances})
    return batch


def check_step(model):
    losses = model(make_batch(3, 1))
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    # A level without responsible cells teaches its branches nothing, and residual branches of some
    # families begin with a factor of zero: that every parameter has an influence is seen on the
    # raw predictions, without such zeros.
    model.zero_grad()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
            nn.init.ones_(module.weight)
    predictions = model.predict(model.preprocess(make_batch(0, 0))[0])
    outputs = (predictions.class_logits, predictions.objectness_logits, predictions.box_deltas)
    sum(output.square().sum() for output in outputs if output is not None).backward()
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    assert not [name for name, p in trainable if not p.grad.abs().max() > 0]


@torch.no_grad()
def check_inference(model, *sizes):
    for height, width in sizes:
        (found,) = model(make_batch(0, size=(height, width)))
        boxes = found["instances"].pred_boxes.tensor
        assert found["instances"].image_size == (height, width)
        assert boxes.isfinite().all()
        assert (boxes >= 0).all() and (boxes <= boxes.new_tensor([width, height] * 2)).all()


@pytest.mark.parametrize(
    ("backbone", "neck", "head"),
    [
        pytest.param(*cell, marks=() if cell in FEW else pytest.mark.slow)
        for cell in CELLS + YOLOF_CELLS
    ],
)
def test_a_cell_builds_steps_infers_and_deploys(backbone, neck, head):
    check_cell(narrow_config(backbone, neck, head))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "neck", "head"), LARGER_CELLS)
def test_larger_models_of_a_family_do_so_too(model, neck, head):
    cfg = narrow_config("resnet18", neck, head)
    cfg.MODEL.TIMM.NAME = model
    check_cell(cfg)


def check_cell(cfg):
    torch.manual_seed(0)
    model = build_detector(cfg)
    check_step(model)
    model.eval()
    check_inference(model, (512, 640), (320, 256))
    smaller = reparameterize(model)  # equal in float64, or an error
    images = model.preprocess(make_batch(0, size=(64, 64)))[0]
    with torch.no_grad():
        found, expected = smaller.predict(images), model.predict(images)
    assert relative_difference(found, expected) < 1e-3
    # Frozen norms are buffers, what they are folded into are parameters.
    sizes = [sum(v.numel() for v in m.state_dict().values()) for m in (smaller, model)]
    assert sizes[0] < sizes[1]


def test_the_few_cells_cover_the_parts():
    for part in range(3):
        assert {cell[part] for cell in FEW} == {cell[part] for cell in CELLS}
    assert len(FEW) == len(BACKBONES)


def test_a_cell_differs_from_its_neighbour_by_one_line():
    first, second = (cell_config("resnet18", neck, "AnchorHead") for neck in ("FPN", "BiFPN"))
    assert first != second
    second.defrost()
    second.MODEL.NECK.NAME = "FPN"
    second.freeze()
    assert first == second
