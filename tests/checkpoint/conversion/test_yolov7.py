"""Converted weights give the outputs that the authors' program gave with them."""

import importlib.util
from pathlib import Path

import pytest
import torch

from yolov7.checkpoint.conversion import convert_weights, convert_yolov7
from yolov7.checkpoint.conversion.yolov7 import describe_yolov7
from yolov7.config import load_config
from yolov7.d2 import ImageList
from yolov7.modeling import build_detector
from yolov7.modeling.reparameterization import reparameterized_copy
from yolov7.ops.box_ops import xyxy_to_cxcywh
from yolov7.utils.errors import WeightsError

ROOT = Path(__file__).parents[3]
MODELS = {
    "yolov7-tiny": "yolov7_tiny",
    "yolov7": "yolov7",
    "yolov7x": "yolov7_x",
    "yolov7-w6": "yolov7_w6",
    "yolov7-e6": "yolov7_e6",
    "yolov7-d6": "yolov7_d6",
    "yolov7-e6e": "yolov7_e6e",
}
# Entries of the authors' state dicts: of training, and of deployment before fusing.
ENTRIES = {
    "yolov7-tiny": (344, 338),
    "yolov7": (566, 560),
    "yolov7x": (644, 638),
    "yolov7-w6": (668, 628),
    "yolov7-e6": (896, 856),
    "yolov7-d6": (1028, 988),
    "yolov7-e6e": (1490, 1450),
}


def load_reference():
    path = ROOT / "tests" / "reference" / "yolov7_weights.py"
    specification = importlib.util.spec_from_file_location("yolov7_weights", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


reference = load_reference()


def build(name, device="meta", **keys):
    opts = [item for pair in keys.items() for item in pair]
    file = ROOT / "configs" / "_base_" / "models" / f"{MODELS[name]}.yaml"
    cfg = load_config(file, ["MODEL.DEVICE", device, *opts])
    with torch.device(device):
        return build_detector(cfg)


def shapes_of(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def zeros(shapes, dtype=torch.float32):
    """Without memory: each entry is one number seen many times."""
    return {
        name: torch.zeros((), dtype=torch.int64 if "num_batches" in name else dtype).expand(shape)
        for name, shape in shapes.items()
    }


def converted(name, dtype=torch.float64):
    """Our model with the weights that the recorded outputs belong to, in eval mode."""
    model = build(name, "meta")
    state = convert_yolov7(reference.filled_state(name), shapes_of(model))
    model = build(name, "cpu").to(dtype).eval()
    model.load_state_dict(state)
    return model


@torch.no_grad()
def outputs_of(model, name):
    """Lead and auxiliary predictions for the recorded image."""
    image = reference.image(*reference.OUTPUTS[name]["image"]).to(model.pixel_mean.dtype)
    images = ImageList(image, [tuple(image.shape[-2:])])
    features = model.neck(model.backbone(images.tensor))
    heads = {"P": model.head, "A": model.auxiliary_head}
    return {key: head(features, images) for key, head in heads.items() if head is not None}


def raw_maps(predictions):
    """The authors' layout: a map (1, 3, rows, columns, 85) for each level."""
    flat = torch.cat(
        [
            predictions.box_deltas,
            predictions.objectness_logits[..., None],
            predictions.class_logits,
        ],
        dim=-1,
    )
    sizes = predictions.level_sizes
    maps = flat.split([3 * rows * columns for rows, columns in sizes], dim=1)
    return [m.unflatten(1, (3, *size)) for m, size in zip(maps, sizes, strict=True)]


def samples_of(level):
    rows, columns = level.shape[2:4]
    places = [(0, 0, 0, 0), (0, 0, columns - 1, 4), (0, rows - 1, 0, 5)]
    places += [(1, rows // 2, columns // 2, 1), (1, 1, 2, 2), (2, rows - 1, columns - 1, 84)]
    places += [(2, 1, 0, 3), (1, rows // 2, 1, 42)]
    return torch.stack([level[0][place] for place in places])


def decoded(model, predictions):
    boxes = model.postprocessor.box_coder.decode(
        predictions.box_deltas, predictions.centers, predictions.strides, predictions.anchors
    )
    scores = [predictions.objectness_logits[..., None], predictions.class_logits]
    return torch.cat([xyxy_to_cxcywh(boxes), torch.cat(scores, dim=-1).sigmoid()], dim=-1)


def largest_difference(found, expected):
    return float((found - torch.tensor(expected, dtype=found.dtype)).abs().max())


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_of_the_authors_has_its_place(name):
    shapes = reference.state_shapes(name)
    assert len(shapes) == ENTRIES[name][0]
    model = build(name)
    found = convert_weights("yolov7", zeros(shapes), shapes_of(model))
    assert len(found) == len(shapes) - 2
    assert {name: tuple(value.shape) for name, value in found.items()} == shapes_of(model)


@pytest.mark.parametrize(
    ("name", "tensor", "values"),
    [
        ("yolov7-tiny", "model.0.conv.weight", (-0.2633701601514, 0.3227167137153)),
        ("yolov7x", "model.120.conv.weight", (0.02989607621804, 0.01151988759195)),
        ("yolov7-e6e", "model.264.conv.weight", (0.02876317505653, -0.0001510505858702)),
    ],
)
def test_the_rule_of_the_weights(name, tensor, values):
    shape = reference.state_shapes(name)[tensor]
    found = reference.fill_entry(tensor, shape, reference.OUTPUTS[name]["gain"]).flatten()
    assert found[:2].tolist() == pytest.approx(values, rel=1e-11)


@pytest.mark.parametrize("name", [pytest.param(m, marks=pytest.mark.slow) for m in MODELS])
def test_outputs_are_the_authors(name):
    recorded = reference.OUTPUTS[name]
    total = sum(float(value.double().sum()) for value in reference.filled_state(name).values())
    assert total == pytest.approx(recorded["filled_sum"], abs=1e-7)
    model = converted(name)
    predictions = outputs_of(model, name)
    maps = {
        f"{key}{level + 3}": each
        for key, found in predictions.items()
        for level, each in enumerate(raw_maps(found))
    }
    assert {key: list(value.shape) for key, value in maps.items()} == {
        key: value["shape"] for key, value in recorded["maps"].items()
    }
    for key, found in maps.items():
        expected = recorded["maps"][key]
        assert largest_difference(samples_of(found), recorded["samples"][key]) < 1e-10
        assert float(found.mean()) == pytest.approx(expected["mean"], abs=1e-10)
        assert float(found.std(correction=0)) == pytest.approx(expected["std"], rel=1e-10)
        assert reference.checksum(found) == pytest.approx(expected["checksum"], abs=1e-6)
    rows = decoded(model, predictions["P"])[0]
    for row, expected in recorded["decoded_rows"].items():
        assert rows[int(row), :8].tolist() == pytest.approx(expected, rel=1e-9)
    assert float(rows.sum()) == pytest.approx(recorded["decoded"]["sum"], rel=1e-10)
    squares = float(rows.square().sum())
    assert squares == pytest.approx(recorded["decoded"]["sum_of_squares"], rel=1e-10)
    assert reference.checksum(rows) == pytest.approx(recorded["decoded"]["checksum"], abs=1e-5)

    # The deployed model, which has no norms, implicit layers or auxiliary head, and float32.
    smaller = reparameterized_copy(model)
    assert not any("norm" in each or "implicit" in each for each in smaller.state_dict())
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        found = outputs_of(smaller.to(dtype), name)
        assert list(found) == ["P"]
        for level, each in enumerate(raw_maps(found["P"])):
            samples = recorded["samples"][f"P{level + 3}"]
            assert largest_difference(samples_of(each).double(), samples) < tolerance


@pytest.mark.parametrize("name", MODELS)
def test_files_of_deployment(name):
    """They lack implicit layers, which become neutral, and the auxiliary head."""
    shapes = reference.state_shapes(name, deploy=True)
    assert len(shapes) == ENTRIES[name][1]
    model = build(name, **{"MODEL.AUXILIARY_HEAD.CHANNELS": "[]"})
    found = convert_yolov7({"model": zeros(shapes)}, shapes_of(model))
    assert list(found) == list(shapes_of(model))
    assert (found["head.predictors.1.add.implicit"] == 0).all()
    assert (found["head.predictors.1.multiply.implicit"] == 1).all()


def test_half_precision_becomes_single():
    state = zeros(reference.state_shapes("yolov7-tiny"), torch.float16)
    found = convert_yolov7(state, shapes_of(build("yolov7-tiny")))
    assert {value.dtype for value in found.values()} == {torch.float32, torch.int64}


def test_the_averaged_weights_are_taken():
    shapes = reference.state_shapes("yolov7-tiny")
    ema = {name: value + 1 for name, value in zeros(shapes).items()}
    found = convert_yolov7({"model": zeros(shapes), "ema": ema}, shapes_of(build("yolov7-tiny")))
    assert all((value == 1).all() for value in found.values())
    found = convert_yolov7({"model": ema, "ema": None}, shapes_of(build("yolov7-tiny")))
    assert all((value == 1).all() for value in found.values())


def test_weights_of_another_model_are_refused():
    tiny, base = shapes_of(build("yolov7-tiny")), zeros(reference.state_shapes("yolov7"))
    with pytest.raises(WeightsError, match=r"look like YOLOv7, 80 classes; .* YOLOv7-tiny, 80"):
        convert_yolov7(base, tiny)
    other = zeros(reference.state_shapes("yolov7-tiny", classes=3))
    with pytest.raises(WeightsError, match=r"look like YOLOv7-tiny, 3 classes"):
        convert_yolov7(other, tiny)
    deployed = zeros(reference.state_shapes("yolov7-w6", deploy=True))
    with pytest.raises(WeightsError, match=r"without auxiliary head.*with auxiliary head"):
        convert_yolov7(deployed, shapes_of(build("yolov7-w6")))


def test_weights_of_another_kind_are_refused():
    shapes = shapes_of(build("yolov7-tiny"))
    with pytest.raises(WeightsError, match=r"got one with epoch"):
        convert_yolov7({"epoch": 3}, shapes)
    with pytest.raises(WeightsError, match=r"named model\.0\.conv\.weight and so on; got conv1"):
        convert_yolov7({"conv1.weight": torch.zeros(3)}, shapes)
    with pytest.raises(WeightsError, match=r"whose last layer predicts; layer 4 has conv\.weight"):
        convert_yolov7({"model.4.conv.weight": torch.zeros(3, 3, 1, 1)}, shapes)
    assert describe_yolov7({"a.weight": (3,)}) == "no YOLOv7 (it starts with a.weight)"


def test_anchors_that_are_not_the_published_ones_are_told(caplog):
    shapes = shapes_of(build("yolov7-tiny"))
    state = zeros(reference.state_shapes("yolov7-tiny"))
    published = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
    grid = torch.tensor(published).float().view(3, 1, 3, 1, 1, 2)
    state["model.77.anchor_grid"] = grid
    convert_yolov7(state, shapes)
    assert not caplog.records
    grid[1, 0, 2, 0, 0, 1] = 77.5
    convert_yolov7(state, shapes)
    assert "MODEL.YOLO.ANCHORS [[[10.0, 13.0], [16.0, 30.0]" in caplog.text
    assert "[59.0, 77.5]" in caplog.text
    caplog.clear()
    # Four anchors a level are nobody's published ones; the head that has them does not fit, either.
    state["model.77.anchor_grid"] = torch.cat([grid, grid[:, :, :1]], dim=2)
    convert_yolov7(state, shapes)
    assert "[59.0, 77.5], [30.0, 61.0]]" in caplog.text
