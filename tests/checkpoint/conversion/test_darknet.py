"""Files in darknet's layout load to the last byte and give the outputs that darknet gave."""

import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.checkpoint import load_weights
from yolov7.checkpoint.conversion import convert_weights
from yolov7.checkpoint.conversion.darknet import convert_darknet, layers_in_file_order
from yolov7.config import load_config
from yolov7.modeling import build_detector
from yolov7.ops.box_ops import xyxy_to_cxcywh
from yolov7.utils.errors import WeightsError

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "tests" / "reference"
# Gain of the weights, (height, width), strides, size of the file.
CASES = {
    "yolov4": (1.21, (96, 128), (8, 16, 32), 257_717_640),
    "yolov4_tiny": (1.45, (128, 96), (16, 32), 24_251_276),
    "yolov3_spp": (0.93, (96, 64), (8, 16, 32), 252_209_544),
}
# YOLOv3-SPP as one change of YOLOv4's config for each part.
YOLOV3_SPP = {
    "MODEL.BACKBONE.NAME": "Darknet",
    "MODEL.DARKNET.ACTIVATION": "leaky_relu",
    "MODEL.NECK.NAME": "DarknetFPN",
    "MODEL.NECK.SPP": True,
    "MODEL.BOX_CODER.SCALE_XY": [1.0, 1.0, 1.0],
    "MODEL.YOLO.ANCHORS": [
        [[10, 13], [16, 30], [33, 23]],
        [[30, 61], [62, 45], [59, 119]],
        [[116, 90], [156, 198], [373, 326]],
    ],
}
models = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if "tiny" in n else pytest.mark.slow) for n in CASES]
)


@pytest.fixture(scope="module")
def rule(reference_module):
    """The file rule of the recorded outputs."""
    return reference_module("darknet_weights")


def build(name, *opts, device="cpu"):
    if name == "yolov3_spp":
        name, opts = "yolov4", [*(x for pair in YOLOV3_SPP.items() for x in pair), *opts]
    file = ROOT / "configs" / "_base_" / "models" / f"{name}.yaml"
    with torch.device(device):
        return build_detector(load_config(file, ["MODEL.DEVICE", device, *opts])).eval()


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def tiny_shapes():
    return shapes_of(build("yolov4_tiny", device="meta"))


@pytest.fixture(scope="module")
def tiny_file(rule, tmp_path_factory):
    path = tmp_path_factory.mktemp("darknet") / "yolov4-tiny.weights"
    rule.write_weights(path, rule.yolov4_tiny(), gain=1.45)
    return path


@models
@torch.inference_mode()
def test_outputs_are_darknets(name, rule, tmp_path):
    gain, size, strides, num_bytes = CASES[name]
    path = tmp_path / "x.weights"
    rule.write_weights(path, getattr(rule, name)(), gain)
    assert path.stat().st_size == num_bytes
    model = build(name)
    model.load_state_dict(convert_weights("darknet", path, shapes_of(model)))
    image = torch.from_numpy(rule.picture(*size))
    images, _ = model.preprocess([{"image": image}])
    recorded = np.load(REFERENCE / "darknet.npz")
    predictions = model.predict(images)
    numbers = torch.cat(
        [
            predictions.box_deltas,
            predictions.objectness_logits[..., None],
            predictions.class_logits,
        ],
        dim=2,
    )[0]
    start = 0
    for stride, (rows, columns) in zip(strides, predictions.level_sizes, strict=True):
        count = 3 * rows * columns
        found = numbers[start : start + count].view(3, rows, columns, 85).permute(0, 3, 1, 2)
        found = found.reshape(255, rows, columns)
        start += count
        expected = {
            what: torch.from_numpy(recorded[f"{name}_raw{stride}_{what}"])
            for what in ("values", "channel_sums", "place_sums")
        }
        assert (found.flatten()[::31] - expected["values"]).abs().max() < 1e-4
        assert (found.sum(dim=(1, 2)) - expected["channel_sums"]).abs().max() < 1e-3
        assert (found.sum(dim=0) - expected["place_sums"]).abs().max() < 1e-3
    assert start == len(numbers)
    _compare_boxes(model, predictions, torch.from_numpy(recorded[f"{name}_boxes"]), size)


def _compare_boxes(model, predictions, recorded, size):
    """Those of highest objectness: center x, y, width, height in shares of the picture,
    objectness, best class, its score (0 where it is below the threshold of recording)."""
    boxes = model.postprocessor.box_coder.decode(
        predictions.box_deltas, predictions.centers, predictions.strides, predictions.anchors
    )[0]
    height, width = size
    boxes = xyxy_to_cxcywh(boxes) / torch.tensor([width, height, width, height])
    objectness = predictions.objectness_logits[0].sigmoid()
    best = objectness.argsort(descending=True)[: len(recorded)]
    assert torch.allclose(objectness[best], recorded[:, 4], atol=1e-5)
    assert (boxes[best] - recorded[:, :4]).abs().max() < 1e-4
    scores = objectness[best, None] * predictions.class_logits[0, best].sigmoid()
    classes = recorded[:, 5].long()
    expected, found = recorded[:, 6], scores.gather(1, classes[:, None])[:, 0]
    above = expected > 0
    assert above.sum() > 20
    assert torch.equal(scores.argmax(dim=1)[above], classes[above])
    assert (found - expected)[above].abs().max() < 1e-5


def test_every_entry_comes_from_its_place(rule, tiny_file, tiny_shapes):
    state = convert_darknet(tiny_file, tiny_shapes)
    assert list(state) == list(tiny_shapes)
    assert {name: tuple(value.shape) for name, value in state.items()} == tiny_shapes
    # Number 2 follows the stem: bias, scale, mean, variance, weights.
    numbers = torch.from_numpy(rule.numbers_of(2, (64, 64, 3, True), 1.45))
    parts = ["norm.bias", "norm.weight", "norm.running_mean", "norm.running_var", "conv.weight"]
    found = [state[f"backbone.dark2.conv1.{part}"].flatten() for part in parts]
    assert torch.equal(torch.cat(found), numbers)
    # The last one predicts for the finer level.
    numbers = torch.from_numpy(rule.numbers_of(20, (256, 255, 1, False), 1.45))
    found = [state[f"head.predictors.0.{part}"].flatten() for part in ("bias", "weight")]
    assert torch.equal(torch.cat(found), numbers)


def test_old_header_has_16_bytes(tiny_file, tiny_shapes, tmp_path):
    old = tmp_path / "old.weights"
    old.write_bytes(struct.pack("<iiiI", 0, 1, 0, 64) + tiny_file.read_bytes()[20:])
    found, expected = (convert_darknet(path, tiny_shapes) for path in (old, tiny_file))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_pooled_maps_are_joined_the_other_way(rule, tmp_path):
    """Inputs of the convolution behind the pooling: windows 13, 9, 5, none; ours from none on."""
    opts = [
        "MODEL.YOLO.WIDTH_MUL",
        "0.0625",
        "MODEL.YOLO.DEPTH_MUL",
        "0.0",
        "MODEL.YOLO.CLASSES",
        "1",
    ]
    shapes = shapes_of(build("yolov4", *opts, device="meta"))
    count = sum(layer.count for layer in layers_in_file_order(shapes))
    path = tmp_path / "x.weights"
    path.write_bytes(rule.HEADER + np.arange(count, dtype="<f4").tobytes())
    weight = convert_darknet(path, shapes)["neck.pooling.2.mix.conv.weight"]
    squeezed = weight.shape[1] // 4
    row = weight[0].flatten() - weight.min()
    expected = torch.arange(4 * squeezed).view(4, squeezed).flip(0).flatten()
    assert torch.equal(row, expected.float())


def test_a_partial_file_fills_the_backbone_and_says_what_is_missing(
    rule, tiny_shapes, tmp_path, caplog
):
    """As yolov4-tiny.conv.29, which ends before the first prediction."""
    path = tmp_path / "yolov4-tiny.conv.29"
    convs = rule.yolov4_tiny()[:17]
    rule.write_weights(path, convs, gain=1.0)
    with caplog.at_level(logging.WARNING):
        state = convert_darknet(path, tiny_shapes)
    expected = [
        name
        for name in tiny_shapes
        if name.startswith(("backbone.", "neck.convs.1.", "head.pre_convs.1."))
    ]
    assert list(state) == expected
    message = caplog.records[-1].getMessage()
    assert "filled up to head.pre_convs.1. Not filled" in message
    assert "neck.convs.0, head.pre_convs.0, head.predictors.0, head.predictors.1" in message
    # It loads, too, and the rest keeps its values.
    model = build("yolov4_tiny")
    before = model.head.predictors[0].weight.clone()
    torch.save(state, tmp_path / "x.pth")
    assert len(load_weights(model, tmp_path / "x.pth").matched) == len(expected)
    assert torch.equal(model.head.predictors[0].weight, before)
    assert torch.equal(model.backbone.dark5.conv.weight, state["backbone.dark5.conv.weight"])


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (8, "has 8 bytes, too few"),
        (20, "was cut off: after the header of 20 bytes there are 0"),
        (1001, r"was cut off: after the header of 20 bytes there are 981"),
        (
            20 + 4 * (32 * 4 + 864 + 10),
            r"ends inside backbone\.stem\.1, after 10 of 18,688 numbers",
        ),
        (20 + 4 * (32 * 4 + 864), r"ends inside the backbone, before backbone\.stem\.1"),
        (-4, r"ends inside head\.predictors\.0, after 65,534 of 65,535 numbers: it was cut off"),
    ],
)
def test_cut_off_files(tiny_file, tiny_shapes, tmp_path, cut, message):
    path = tmp_path / "cut.weights"
    path.write_bytes(tiny_file.read_bytes()[:cut])
    with pytest.raises(WeightsError, match=message):
        convert_darknet(path, tiny_shapes)


def test_foreign_files(tiny_file, tiny_shapes, tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        convert_darknet(tmp_path / "absent.weights", tiny_shapes)
    foreign = tmp_path / "x.pth"
    torch.save({"model": torch.zeros(100)}, foreign)
    with pytest.raises(WeightsError, match=r"x\.pth: is no \.weights file of darknet"):
        convert_darknet(foreign, tiny_shapes)
    with pytest.raises(WeightsError, match="expected the path"):
        convert_darknet({"model": {}}, tiny_shapes)
    longer = tmp_path / "longer.weights"
    longer.write_bytes(tiny_file.read_bytes() + bytes(8))
    with pytest.raises(WeightsError, match=r"6,062,816 numbers, .*6,062,814: 2 would be left over"):
        convert_darknet(longer, tiny_shapes)
    # A place earlier everything is a number of something else; of the variances some are negative.
    data = np.fromfile(tiny_file, dtype="<f4", offset=20)
    shifted = tmp_path / "shifted.weights"
    shifted.write_bytes(tiny_file.read_bytes()[:20] + np.roll(data, -100).tobytes())
    with pytest.raises(WeightsError, match=r"variances of backbone\.stem\.0 has negative"):
        convert_darknet(shifted, tiny_shapes)


def test_another_number_of_classes_is_told(rule, tiny_shapes, tmp_path):
    path = tmp_path / "x.weights"
    rule.write_weights(path, rule.yolov4_tiny(classes=3), gain=1.0)
    with pytest.raises(WeightsError, match=r"same network with 3 classes, not 80: set .*CLASSES 3"):
        convert_darknet(path, tiny_shapes)


@pytest.mark.parametrize(
    "opts",
    [
        ["MODEL.HEAD.IMPLICIT", "True"],
        ["MODEL.HEAD.PRE_CONV", "rep_conv"],
        ["MODEL.NECK.NAME", "CSPPAFPN"],
        # Darknet has this neck on another backbone.
        ["MODEL.NECK.NAME", "DarknetFPN"],
    ],
)
def test_the_backbone_alone_where_the_rest_is_none_of_darknets(tiny_file, opts, caplog):
    shapes = shapes_of(build("yolov4_tiny", *opts, device="meta"))
    with caplog.at_level(logging.WARNING):
        state = convert_darknet(tiny_file, shapes)
    assert list(state) == [name for name in shapes if name.startswith("backbone.")]
    left_out, missing = (record.getMessage() for record in caplog.records)
    assert "6,062,814 numbers, the backbone of the config 3,633,632" in left_out
    assert "Fitting are" in left_out
    assert "filled up to backbone.dark5" in missing
    assert "head.predictors.0" in missing


def test_backbones_that_are_none_of_darknets(tiny_file):
    for name in ("CSPDarknet", "ELANNet"):
        shapes = shapes_of(build("yolov4", "MODEL.BACKBONE.NAME", name, device="meta"))
        with pytest.raises(WeightsError, match=r"backbone is none of darknet's .*Fitting are"):
            convert_darknet(tiny_file, shapes)
