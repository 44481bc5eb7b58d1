"""Names of devices: right ones by their kind, wrong ones with the key."""

from __future__ import annotations

import pytest

from yolov7.utils.device import device_type
from yolov7.utils.errors import ConfigError


@pytest.mark.parametrize(("device", "kind"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:3", "cuda")])
def test_kinds(device, kind):
    assert device_type(device, key="MODEL.DEVICE") == kind


@pytest.mark.parametrize("device", ["gpu", "cuda:x", ""])
def test_names_that_are_none(device):
    with pytest.raises(ConfigError, match=rf"MODEL\.DEVICE is '{device}', which is no device"):
        device_type(device, key="MODEL.DEVICE")
