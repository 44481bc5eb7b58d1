from __future__ import annotations

import pytest

from yolov7.modeling.backbones.stages import stages_of_strides
from yolov7.utils.errors import ConfigError

STAGES = {"dark3": 8, "dark4": 16, "dark5": 32}


def test_stages_in_their_order() -> None:
    assert stages_of_strides([32, 8], STAGES, backbone="X") == ["dark3", "dark5"]


@pytest.mark.parametrize(("strides", "named"), [([8, 64], "64"), ([], "none")])
def test_strides_that_are_not_there_and_none_at_all(strides, named) -> None:
    with pytest.raises(ConfigError, match=rf"IN_STRIDES: X has maps of .*8, 16, 32, not {named}"):
        stages_of_strides(strides, STAGES, backbone="X")
