import pytest

from yolov7.config import load_config
from yolov7.engine.training_model import build_training_model
from yolov7.utils.errors import ConfigError


def small_w6(*options: str):
    small = ["MODEL.DEVICE", "cpu", "MODEL.YOLO.WIDTH_MUL", "0.0625", "MODEL.YOLO.CLASSES", "3"]
    small += ["MODEL.ELAN.HIDDEN_CHANNELS", "[4, 4, 6, 6, 8]"]
    small += ["MODEL.ELAN_PAFPN.HIDDEN_CHANNELS", "[4, 6, 8, 8]"]
    return load_config("configs/_base_/models/yolov7_w6.yaml", [*small, *options])


def test_a_training_without_the_auxiliary_head_that_it_wants_is_refused_at_once():
    assert build_training_model(small_w6()).auxiliary_head is not None
    with pytest.raises(ConfigError, match="AuxiliaryCriterion needs an auxiliary head to train"):
        build_training_model(small_w6("MODEL.AUXILIARY_HEAD.CHANNELS", "[]"))
