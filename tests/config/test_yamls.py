"""Every yaml of the repository loads, says how it is used, and is consistent with itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolov7.config import changed_but_not_honoured, load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
YAMLS = sorted(file for file in CONFIGS.rglob("*.yaml") if "_base_" not in file.parts)


def identifier(file: Path) -> str:
    return str(file.relative_to(CONFIGS))


@pytest.mark.parametrize("path", YAMLS, ids=identifier)
def test_a_yaml_loads_and_its_head_comment_tells_how_to_use_it(path: Path) -> None:
    cfg = load_config(path)
    assert not changed_but_not_honoured(cfg)
    head = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#")
    )
    assert f"--config-file {path.relative_to(CONFIGS.parent)}" in head
    for word in ("Command:", "Hardware:", "Time:", "Expected:"):
        assert word in head


@pytest.mark.parametrize("path", YAMLS, ids=identifier)
def test_schedule_and_classes_are_consistent(path: Path) -> None:
    cfg = load_config(path)
    solver = cfg.SOLVER
    assert solver.WARMUP_ITERS + solver.FLAT_ITERS < solver.MAX_ITER
    has_last_phase = cfg.MODEL.META_ARCHITECTURE == "YOLOX"
    assert (solver.LAST_PHASE_ITERS > 0) == has_last_phase
    assert solver.LAST_PHASE_ITERS < solver.MAX_ITER
    assert solver.BASE_LR_END < solver.BASE_LR
    assert solver.LR_IMS_PER_BATCH == solver.IMS_PER_BATCH
    names = cfg.DATASETS.CLASS_NAMES
    assert not names or len(names) == cfg.MODEL.YOLO.CLASSES


@pytest.mark.parametrize("path", YAMLS, ids=identifier)
def test_mean_and_std_follow_the_channel_order_of_the_family(path: Path) -> None:
    cfg = load_config(path)
    imagenet = ("RGB", [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    of_family = {
        "YOLOX": ("BGR", [0.0] * 3, [1.0] * 3),
        "YOLOV4": ("RGB", [0.0] * 3, [255.0] * 3),
        "YOLOV7": ("RGB", [0.0] * 3, [255.0] * 3),
        "DETR": imagenet,
        "AnchorDETR": imagenet,
        "YOLOF": ("BGR", [103.53, 116.28, 123.675], [1.0] * 3),
    }[cfg.MODEL.META_ARCHITECTURE]
    # Pretrained weights want pictures as they were trained with, whatever the family.
    expected = imagenet if cfg.MODEL.BACKBONE.PRETRAINED else of_family
    assert (cfg.INPUT.FORMAT, cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD) == expected


YOLOX_SIZES = ["nano", "tiny", "s", "m", "l", "x", "darknet53"]


@pytest.mark.parametrize("name", YOLOX_SIZES)
def test_the_coco_recipe_is_the_papers(name: str) -> None:
    """300 epochs of 1,849 iterations; warm-up 5, constant 15, without Mosaic 16 epochs."""
    solver = load_config(CONFIGS / "coco" / f"yolox_{name}.yaml").SOLVER
    epoch = -(-118287 // solver.IMS_PER_BATCH)
    assert epoch == 1849
    assert solver.MAX_ITER == 300 * epoch
    assert solver.WARMUP_ITERS == 5 * epoch
    assert solver.FLAT_ITERS == 15 * epoch
    assert solver.LAST_PHASE_ITERS == 16 * epoch
    assert pytest.approx(solver.BASE_LR * 0.05) == solver.BASE_LR_END


@pytest.mark.parametrize("name", YOLOX_SIZES)
def test_the_coco_augmentation_is_the_papers(name: str) -> None:
    """The small models train with smaller pictures, less shrinking and without MixUp."""
    node = load_config(CONFIGS / "coco" / f"yolox_{name}.yaml").INPUT
    is_small = name in ("nano", "tiny")
    mosaic, sizes = node.MOSAIC_AND_MIXUP, node.MULTI_SCALE
    assert node.INPUT_SIZE == ([416, 416] if is_small else [640, 640])
    assert mosaic.PROBABILITY == (0.5 if name == "nano" else 1.0)
    assert list(mosaic.SCALE) == ([0.5, 1.5] if is_small else [0.1, 2.0])
    assert mosaic.ENABLE_MIXUP is not is_small
    assert (mosaic.MIXUP_PROBABILITY, list(mosaic.MIXUP_SCALE)) == (1.0, [0.5, 1.5])
    assert (mosaic.DEGREES, mosaic.TRANSLATE, mosaic.SHEAR) == (10.0, 0.1, 2.0)
    assert (sizes.MIN_SIZE, sizes.MAX_SIZE) == ((320, 640) if is_small else (480, 800))
    assert (sizes.STEP, sizes.PERIOD) == (32, 10)


@pytest.mark.parametrize("name", ["", "_x", "_tiny", "_tiny_silu", "_w6", "_e6", "_d6", "_e6e"])
def test_the_yolov7_recipe_is_the_papers(name: str) -> None:
    """300 epochs, warm-up 3; four levels at 1280 learn from both heads with a larger k."""
    cfg = load_config(CONFIGS / "coco" / f"yolov7{name}.yaml")
    solver, criterion = cfg.SOLVER, cfg.MODEL.CRITERION
    epoch = -(-118287 // solver.IMS_PER_BATCH)
    assert (solver.MAX_ITER, solver.WARMUP_ITERS) == (300 * epoch, 3 * epoch)
    warm_up = (solver.WARMUP_FACTOR, solver.WARMUP_BIAS_LR, solver.WARMUP_MOMENTUM)
    assert (*warm_up, solver.MOMENTUM) == (0.0, 0.1, 0.8, 0.937)
    large, tiny = "6" in name, "tiny" in name
    final = 0.2 if large else 0.01 if tiny else 0.1
    assert pytest.approx(solver.BASE_LR * final) == solver.BASE_LR_END
    assert cfg.INPUT.INPUT_SIZE == ([1280, 1280] if large else [640, 640])
    assert len(cfg.MODEL.YOLO.ANCHORS) == len(cfg.MODEL.NECK.IN_STRIDES) == (4 if large else 3)
    assert cfg.MODEL.ASSIGNER.TOP_K == (20 if large else 10)
    assert criterion.NAME == ("AuxiliaryCriterion" if large else "AnchorCriterion")
    assert criterion.LEVEL_BALANCE == ([4.0, 1.0, 0.25, 0.06] if large else [4.0, 1.0, 0.4])
    weights = (criterion.BOX_WEIGHT, criterion.CLASS_WEIGHT, criterion.OBJECTNESS_WEIGHT)
    assert weights == ((0.05, 0.5, 1.0) if tiny else (0.05, 0.3, 0.7))
    assert cfg.MODEL.ELAN.ACTIVATION == ("leaky_relu" if name == "_tiny" else "silu")


# The authors' hyper-parameter files: final learning rate, shift, scale, MixUp, paste-in.
YOLOV7_TABLES = {
    "tiny": (0.01, 0.1, [0.5, 1.6], 0.05, 0.05),
    "p5": (0.1, 0.2, [0.1, 2.0], 0.15, 0.15),
    "p6": (0.2, 0.2, [0.1, 2.0], 0.15, 0.15),
    "custom": (0.1, 0.2, [0.5, 1.6], 0.0, 0.0),
}


@pytest.mark.parametrize("name", YOLOV7_TABLES)
def test_the_tables_of_yolov7_are_the_authors(name: str) -> None:
    cfg = load_config(CONFIGS / "_base_" / "schedules" / f"yolov7_{name}.yaml")
    final, translate, scale, mixup, paste_in = YOLOV7_TABLES[name]
    mosaic, gain = cfg.INPUT.MOSAIC_AND_MIXUP, cfg.INPUT.HSV_GAIN
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY) == (0.01, 0.0005)
    assert pytest.approx(cfg.SOLVER.BASE_LR * final) == cfg.SOLVER.BASE_LR_END
    assert (mosaic.TRANSLATE, mosaic.SCALE, mosaic.WARP_ABOUT) == (translate, scale, "center")
    assert mosaic.MIXUP_PROBABILITY * mosaic.ENABLE_MIXUP == mixup
    assert (mosaic.MIXUP_WITH, mosaic.MIXUP_BETA) == ("mosaic", 8.0)
    assert mosaic.PASTE_IN_PROBABILITY == paste_in
    assert (mosaic.ENABLED, mosaic.PROBABILITY) == (True, 1.0)
    assert mosaic.NUM_IMAGES_MIXTURE == [[4, 0.8], [9, 0.2]]
    assert (mosaic.DEGREES, mosaic.SHEAR, mosaic.PERSPECTIVE) == (0.0, 0.0, 0.0)
    assert (gain.ENABLED, gain.HUE, gain.SATURATION, gain.VALUE) == (True, 0.015, 0.7, 0.4)
    assert not cfg.INPUT.HSV_SHIFT.ENABLED
    assert cfg.INPUT.RANDOM_FLIP == "horizontal"
    assert (cfg.INPUT.MIN_BOX_SIDE, cfg.INPUT.MAX_BOX_ASPECT) == (2.0, 20.0)
    # The rule for objects with masks, which paste-in has and one's own data set may not have.
    assert cfg.INPUT.MIN_BOX_VISIBLE == (0.1 if name == "custom" else 0.01)


@pytest.mark.parametrize("name", ["", "_x", "_tiny", "_tiny_silu", "_w6", "_e6", "_d6", "_e6e"])
def test_a_yolov7_recipe_augments_by_its_table(name: str) -> None:
    table = "tiny" if "tiny" in name else "p6" if "6" in name else "p5"
    node = load_config(CONFIGS / "coco" / f"yolov7{name}.yaml").INPUT
    expected = load_config(CONFIGS / "_base_" / "schedules" / f"yolov7_{table}.yaml").INPUT
    assert node.MOSAIC_AND_MIXUP == expected.MOSAIC_AND_MIXUP
    assert node.HSV_GAIN == expected.HSV_GAIN


# The authors' settings: iterations, learning rate, the backbone's factor, positives, dilations.
YOLOF = {
    "r50_dc5": (22500, 0.12, 0.334, 8, [4, 8, 12, 16]),
    "cspdarknet53_dc5": (67500, 0.04, 1.0, 8, [1, 2, 3, 4, 5, 6, 7, 8]),
}


@pytest.mark.parametrize("name", YOLOF)
def test_the_yolof_recipe_is_the_authors(name: str) -> None:
    cfg = load_config(CONFIGS / "coco" / f"yolof_{name}.yaml")
    solver, yolo = cfg.SOLVER, cfg.MODEL.YOLO
    iterations, rate, factor, positives, dilations = YOLOF[name]
    assert (solver.MAX_ITER, solver.BASE_LR, solver.BACKBONE_MULTIPLIER) == (
        iterations, rate, factor,
    )  # fmt: skip
    assert [iterations - step for step in solver.STEPS] == (
        [7500, 2500] if name == "r50_dc5" else [15000, 5000]
    )
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_NORM) == (0.0001, 0.0)
    assert (cfg.MODEL.ASSIGNER.TOP_K, cfg.MODEL.ASSIGNER.MIN_ANCHOR_IOU) == (positives, 0.1)
    assert cfg.MODEL.YOLOF.DILATIONS == dilations
    assert (cfg.MODEL.CRITERION.FOCAL_ALPHA, cfg.MODEL.CRITERION.FOCAL_GAMMA) == (0.25, 2.0)
    assert yolo.ANCHORS == [[[side, side] for side in (16, 32, 64, 128, 256, 512)]]
    assert (yolo.CONF_THRESHOLD, yolo.NMS_THRESHOLD, yolo.IGNORE_THRESHOLD) == (0.05, 0.6, 0.7)
    assert (cfg.TEST.DETECTIONS_PER_IMAGE, cfg.TEST.CANDIDATES_PER_IMAGE) == (100, 1000)


@pytest.mark.parametrize("path", YAMLS, ids=identifier)
def test_only_weights_from_elsewhere_stay_frozen(path: Path) -> None:
    model = load_config(path).MODEL
    head = path.read_text(encoding="utf-8").partition("_BASE_")[0]
    assert model.BACKBONE.FREEZE_AT == 0 or model.BACKBONE.PRETRAINED or "MODEL.WEIGHTS" in head
