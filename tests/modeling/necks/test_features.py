import pytest

from yolov7.d2 import ShapeSpec
from yolov7.modeling.necks import pyramid_name, select_by_stride
from yolov7.modeling.necks.features import check_doubling
from yolov7.utils.errors import ConfigError

SHAPES = {
    "res2": ShapeSpec(channels=8, stride=4),
    "res3": ShapeSpec(channels=8, stride=8),
    "res4": ShapeSpec(channels=8, stride=16),
    "last": ShapeSpec(channels=9, stride=16),
}


def test_selects_by_stride_in_ascending_order():
    assert select_by_stride(SHAPES, [8, 4]) == ["res2", "res3"]


def test_takes_the_deepest_of_a_stride():
    assert select_by_stride(SHAPES, [16]) == ["last"]


@pytest.mark.parametrize(("strides", "named"), [([8, 32], "stride 32"), ([], "stride none")])
def test_missing_stride_lists_what_there_is(strides, named):
    with pytest.raises(ConfigError, match=rf"{named} is not among.*res3 \(stride 8\)"):
        select_by_stride(SHAPES, strides)


def test_names():
    assert [pyramid_name(stride) for stride in (4, 8, 64)] == ["p2", "p3", "p6"]
    with pytest.raises(ConfigError, match="powers of two, got 12"):
        pyramid_name(12)


@pytest.mark.parametrize("strides", [[], [8], [8, 32], [16, 8], [8, 16, 16]])
def test_strides_must_double(strides):
    with pytest.raises(ConfigError, match=r"IN_STRIDES: N wants 2 or more strides, each twice"):
        check_doubling(strides, neck="N", at_least=2)


def test_strides_that_double():
    check_doubling([4, 8, 16], neck="N", at_least=2)
    check_doubling([8], neck="N", at_least=1)
