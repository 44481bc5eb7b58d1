"""What a config of YOLOv7 gets wrong is told when the model is built, by key."""

import pytest
import torch

from yolov7.config import load_config
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError

CRITERION, ASSIGNER, ELAN, NECK = (
    "MODEL.CRITERION", "MODEL.ASSIGNER", "MODEL.ELAN", "MODEL.ELAN_PAFPN",
)  # fmt: skip
AUXILIARY = {
    "MODEL.AUXILIARY_HEAD.CHANNELS": "[32, 32, 32]",
    f"{CRITERION}.NAME": "AuxiliaryCriterion",
}
REVERSED = "[[[142, 110]], [[36, 75]], [[12, 16]]]"


def build(keys, model="yolov7"):
    opts = [str(item) for pair in keys.items() for item in pair]
    path = f"configs/_base_/models/{model}.yaml"
    cfg = load_config(path, ["MODEL.DEVICE", "meta", "MODEL.YOLO.WIDTH_MUL", "0.0625", *opts])
    with torch.device("meta"):
        return build_detector(cfg)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (f"{CRITERION}.LEVEL_BALANCE", "[1.0]", "3 numbers, one for each level"),
        (f"{CRITERION}.LEVEL_BALANCE", "[]", "each of the head's levels"),
        (f"{CRITERION}.LEVEL_BALANCE", "[4.0, 1.0, -0.4]", "a number >= 0"),
        (f"{CRITERION}.LEVEL_BALANCE", "['a', 1, 2]", "a number >= 0"),
        (f"{CRITERION}.OBJECTNESS_IOU_SHARE", 1.5, r"a number in \[0, 1\]"),
        (f"{CRITERION}.LABEL_SMOOTHING", 1.0, r"a number in \[0, 1\)"),
        (f"{CRITERION}.BOX_WEIGHT", -0.05, "a number >= 0"),
        (f"{CRITERION}.OBJECTNESS_WEIGHT", -0.7, "a number >= 0"),
        (f"{CRITERION}.CLASS_WEIGHT", -0.3, "a number >= 0"),
        (f"{CRITERION}.BOX_LOSS", "bce", "a loss of boxes"),
        (f"{CRITERION}.CLASS_LOSS", "ciou", "a loss of logits"),
        (f"{CRITERION}.OBJECTNESS_LOSS", "iou", "a loss of logits"),
        (f"{CRITERION}.FOCAL_GAMMA", -1.0, "a number >= 0"),
        (f"{CRITERION}.FOCAL_ALPHA", 1.5, r"a number in \[0, 1\]"),
        (f"{ASSIGNER}.TOP_K", 0, "at least 1"),
        (f"{ASSIGNER}.MAX_ANCHOR_RATIO", 1.0, "more than 1"),
        (f"{ASSIGNER}.IOU_COST", -3.0, "at least 0"),
        ("MODEL.YOLO.ANCHORS", "[[10, 13], [16, 30], [33, 23]]", "equally many"),
        ("MODEL.YOLO.ANCHORS", "[10, 13, 16, 30]", "equally many"),
        ("MODEL.YOLO.ANCHORS", "[[['a', 1]], [[1, 1]], [[1, 1]]]", "equally many"),
        ("MODEL.YOLO.ANCHORS", REVERSED, "the smallest anchors first, for stride 8"),
        ("MODEL.YOLO.CONF_THRESHOLD", 2.0, r"a number in \[0, 1\]"),
        ("MODEL.YOLO.NMS_THRESHOLD", -1.0, r"a number in \[0, 1\]"),
        ("MODEL.HEAD.LEVEL_CHANNELS", "[256, 512]", "one width for each of p3, p4, p5, or none"),
        ("MODEL.HEAD.LEVEL_CHANNELS", "[2, 4, 0]", "whole numbers of at least 1"),
        (f"{ELAN}.CONVS", 0, "at least 1"),
        (f"{ELAN}.BRANCHES", 0, "at least 1"),
        (f"{ELAN}.PICK_EVERY", 0, "at least 1"),
        (f"{ELAN}.STEM_CHANNELS", -3, "at least 1"),
        (f"{ELAN}.TRANSITION_CHANNELS", "[128, 256, 512, 0]", "whole numbers of at least 1"),
        (f"{ELAN}.CHANNELS", "[256, 512, 1024, -4]", "whole numbers of at least 1"),
        (f"{ELAN}.HIDDEN_CHANNELS", "[4, 4, 4, 0]", "whole numbers of at least 1"),
        (f"{NECK}.PICK_EVERY", 0, "at least 1"),
        (f"{NECK}.CHANNELS", "[128, 256, -5]", "whole numbers of at least 1"),
        (f"{NECK}.HIDDEN_CHANNELS", "[4, 6, 0]", "whole numbers of at least 1"),
        (f"{NECK}.CONV_RATIO", 0.001, "a part that leaves channels"),
        ("MODEL.AUXILIARY_HEAD.CHANNELS", "[32, 64, -5]", "whole numbers of at least 1"),
        ("INPUT.INPUT_SIZE", "[640]", r"\[height, width\] in pixels"),
        ("TEST.DETECTIONS_PER_IMAGE", 0, "at least 1"),
        ("TEST.CANDIDATES_PER_IMAGE", 0, "at least 1"),
    ],
)
def test_a_value_out_of_range(key, value, expected):
    keys = {key: value}
    if key == f"{ASSIGNER}.IOU_COST":
        key = f"{ASSIGNER}: CLASS_COST and IOU_COST"
    with pytest.raises(ConfigError, match=f"^{key}: expected .*{expected}.*, got "):
        build(keys)


def test_the_auxiliary_weight_is_not_negative():
    with pytest.raises(ConfigError, match=r"AUXILIARY_WEIGHT: expected a number >= 0, got -1\.0"):
        build({**AUXILIARY, f"{CRITERION}.AUXILIARY_WEIGHT": -1.0})


@pytest.mark.parametrize("name", ["AnchorCriterion", "DenseCriterion"])
def test_an_auxiliary_head_needs_its_criterion(name):
    with pytest.raises(ConfigError, match=rf"CRITERION\.NAME: {name} .*take AuxiliaryCriterion"):
        build({**AUXILIARY, f"{CRITERION}.NAME": name})


def test_the_balance_of_an_auxiliary_criterion_is_counted_too():
    with pytest.raises(ConfigError, match=r"LEVEL_BALANCE: expected 4 numbers.*got \[4\.0, 1\.0\]"):
        build({f"{CRITERION}.LEVEL_BALANCE": "[4.0, 1.0]"}, model="yolov7_w6")


def test_a_deployed_model_has_no_auxiliary_head():
    """Released weights lack it: a training refuses it when it builds the model, others do not."""
    assert build({"MODEL.AUXILIARY_HEAD.CHANNELS": "[]"}, model="yolov7_w6").auxiliary_head is None


def test_yolox_takes_no_anchors():
    expected = r"AnchorHead predicts boxes around anchors\. Fitting: DecoupledHead$"
    with pytest.raises(ConfigError, match=expected):
        build({"MODEL.META_ARCHITECTURE": "YOLOX"})


@pytest.mark.parametrize(("family", "fitting"), [("YOLOX", "DecoupledHead"), ("YOLOV7", "Anchor")])
def test_dense_families_take_no_queries(family, fitting):
    expected = rf"^MODEL\.HEAD\.NAME: .* DETRHead predicts queries\. Fitting: {fitting}"
    with pytest.raises(ConfigError, match=expected):
        build({"MODEL.META_ARCHITECTURE": family, "MODEL.HEAD.NAME": "DETRHead"})
