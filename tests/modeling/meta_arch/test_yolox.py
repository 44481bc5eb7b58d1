from pathlib import Path

import pytest
import torch

from yolov7.config import get_config, load_config
from yolov7.d2 import Boxes, Instances, build_model
from yolov7.modeling import build_detector
from yolov7.modeling.meta_arch import YOLOX
from yolov7.utils.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"


SMALL = {
    "MODEL.META_ARCHITECTURE": "YOLOX",
    "MODEL.BACKBONE.NAME": "CSPDarknet",
    "MODEL.DEVICE": "cpu",
    "MODEL.YOLO.CLASSES": 3,
    "MODEL.YOLO.WIDTH_MUL": 0.125,
    "MODEL.YOLO.DEPTH_MUL": 0.33,
}


def small_config(**keys):
    cfg = get_config()
    for key, value in {**SMALL, **keys}.items():
        cfg.merge_from_list([key, value])
    return cfg


def random_batch(*sizes, classes=3, objects=3):
    batch = []
    for height, width in sizes:
        corner = torch.rand(objects, 2) * 20
        instances = Instances((height, width))
        instances.gt_boxes = Boxes(torch.cat([corner, corner + 5 + torch.rand(objects, 2) * 20], 1))
        instances.gt_classes = torch.randint(0, classes, (objects,))
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances, "height": height, "width": width})
    return batch


@pytest.mark.parametrize(
    ("size", "width", "depth", "depthwise", "parts"),
    [
        ("nano", 0.25, 0.33, True, (459_968, 347_424, 104_767)),
        ("tiny", 0.375, 0.33, False, (2_372_304, 1_596_096, 1_087_455)),
        ("s", 0.5, 0.33, False, (4_212_672, 2_834_688, 1_920_895)),
        ("m", 0.75, 0.67, False, (12_352_992, 8_679_168, 4_294_335)),
        ("l", 1.0, 1.0, False, (27_075_968, 19_523_072, 7_609_855)),
        ("x", 1.25, 1.33, False, (50_301_600, 36_902_400, 11_867_455)),
    ],
)
def test_parameters_of_the_published_sizes(size, width, depth, depthwise, parts):
    cfg = small_config(**{"MODEL.DEVICE": "meta", "MODEL.YOLO.CLASSES": 80})
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = width, depth
    cfg.MODEL.DARKNET.DEPTH_WISE = depthwise
    with torch.device("meta"):
        model = build_detector(cfg)
    found = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.backbone, model.neck, model.head)
    ]
    assert tuple(found) == parts
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(parts)


@pytest.mark.parametrize("name", ["nano", "s"])
def test_configs_describe_the_authors_models(name):
    cfg = load_config(CONFIGS / "coco" / f"yolox_{name}.yaml", ["MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        model = build_detector(cfg)
    assert sum(p.numel() for p in model.parameters()) == {"nano": 912_159, "s": 8_968_255}[name]
    assert model.padded_pixel.device.type == "meta"
    assert cfg.MODEL.PIXEL_MEAN == [0.0] * 3
    assert cfg.INPUT.FORMAT == "BGR"


@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        ("ASSIGNER", "BestAnchor", r"predicts boxes without anchors\. Fitting: SimOTA$"),
        ("ASSIGNER", "AnchorRatio", "is for other heads than DecoupledHead"),
        ("ASSIGNER", "OTA", "is for other heads than DecoupledHead"),
        ("ASSIGNER", "UniformMatcher", "is for other heads than DecoupledHead"),
        ("CRITERION", "YOLOFCriterion", r"predicts .* Fitting: AnchorCriterion, .*DenseCriterion"),
    ],
)
def test_parts_that_want_other_predictions_are_refused(key, name, message):
    """At once: the first step of a training would be late."""
    cfg = small_config(**{f"MODEL.{key}.NAME": name})
    with pytest.raises(ConfigError, match=rf"^MODEL\.{key}\.NAME: {name} .*{message}"):
        build_detector(cfg)


def test_detectron2s_door_builds_the_same():
    assert isinstance(build_model(small_config()), YOLOX)


def test_trains_a_step_and_detects():
    torch.manual_seed(0)
    model = build_detector(small_config())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batch = random_batch((64, 96), (40, 64))
    first = sum(model(batch).values())
    for _ in range(3):
        optimizer.zero_grad()
        sum(model(batch).values()).backward()
        optimizer.step()
    assert sum(model(batch).values()) < first
    model.eval()
    with torch.no_grad():
        results = model(batch)
    assert [result["instances"].image_size for result in results] == [(64, 96), (40, 64)]


def test_detections_do_not_depend_on_the_batch():
    """Images of one size: padding differs between batches otherwise, and convolutions see it."""
    torch.manual_seed(0)
    model = build_detector(small_config(**{"MODEL.YOLO.CONF_THRESHOLD": 0.0})).eval()
    batch = random_batch((64, 64), (64, 64))
    with torch.no_grad():
        together = model(batch)
        alone = [model([sample])[0] for sample in batch]
    for left, right in zip(together, alone, strict=True):
        left, right = left["instances"], right["instances"]
        assert len(left) == len(right) > 0
        assert torch.allclose(left.scores, right.scores, atol=1e-6)


def test_channels_last_gives_the_same_and_stays():
    torch.manual_seed(0)
    model = build_detector(small_config()).eval()
    images, _ = model.preprocess(random_batch((64, 64)))
    with torch.no_grad():
        expected = model.predict(images)
        model.to(memory_format=torch.channels_last)
        layouts = []
        for block in (model.backbone.dark4, model.neck.bottom_up_blocks[1]):
            block.register_forward_hook(
                lambda module, args, output: layouts.append(
                    output.is_contiguous(memory_format=torch.channels_last)
                )
            )
        found = model.predict(images)
    assert layouts == [True, True]
    assert torch.allclose(found.class_logits, expected.class_logits, atol=1e-5)


def test_autocast_keeps_losses_in_float32():
    torch.manual_seed(0)
    model = build_detector(small_config())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(random_batch((64, 64)))
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("criterion", ["AnchorCriterion", "AuxiliaryCriterion"])
def test_one_class_needs_a_criterion_that_trains_it(criterion):
    settings = ["MODEL.DEVICE", "meta", "MODEL.CRITERION.NAME", criterion]
    settings += ["MODEL.CRITERION.GUIDANCE", "LeadGuided"]
    with pytest.raises(ConfigError, match=rf"{criterion} does not train .* DenseCriterion"):
        load_and_build([*settings, "MODEL.YOLO.CLASSES", "1"])
    load_and_build([*settings, "MODEL.YOLO.CLASSES", "2"])
    load_and_build(["MODEL.DEVICE", "meta", "MODEL.YOLO.CLASSES", "1"])


def load_and_build(settings):
    with torch.device("meta"):
        return build_detector(load_config(CONFIGS / "coco" / "yolox_nano.yaml", settings))
