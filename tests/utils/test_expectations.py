import pytest

from yolov7.utils.errors import ConfigError
from yolov7.utils.expectations import expect, expect_widths


def test_what_does_not_hold_is_named():
    expect(True, "MODEL.KEY", "at least 1", 1)
    with pytest.raises(ConfigError, match=r"^MODEL\.KEY: expected at least 1, got 0$"):
        expect(False, "MODEL.KEY", "at least 1", 0)


def test_widths_are_positive_whole_numbers():
    assert expect_widths((8, 1), "MODEL.KEY") == [8, 1]
    assert expect_widths([], "MODEL.KEY") == []
    for wrong in ([8, 0], [8, -1], [8, 2.5], ["8"], 8):
        with pytest.raises(ConfigError, match=r"MODEL\.KEY: expected a list .* got"):
            expect_widths(wrong, "MODEL.KEY")
