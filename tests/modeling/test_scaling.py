import pytest

from yolov7.config import get_config
from yolov7.modeling.scaling import scaled_depth, scaled_width
from yolov7.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("width", "depth", "channels", "blocks"),
    [(0.25, 0.33, 16, 1), (0.375, 0.33, 24, 1), (0.5, 0.33, 32, 1), (0.75, 0.67, 48, 2)]
    + [(1.0, 1.0, 64, 3), (1.25, 1.33, 80, 4), (1.0, 0.0, 64, 0)],
)
def test_published_sizes(width, depth, channels, blocks):
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = width, depth
    assert (scaled_width(cfg, 64), scaled_depth(cfg, 3)) == (channels, blocks)


def test_nothing_left_is_an_error():
    cfg = get_config()
    cfg.MODEL.YOLO.WIDTH_MUL, cfg.MODEL.YOLO.DEPTH_MUL = 0.01, -1.0
    with pytest.raises(ConfigError, match=r"WIDTH_MUL: 0\.01 leaves no channel of 64"):
        scaled_width(cfg, 64)
    with pytest.raises(ConfigError, match=r"DEPTH_MUL: expected a number >= 0, got -1\.0"):
        scaled_depth(cfg, 3)
