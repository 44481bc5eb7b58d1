import torch

from yolov7.d2 import ShapeSpec
from yolov7.modeling.necks import Identity


def test_passes_maps_on_under_new_names():
    neck = Identity(
        input_shape={
            "fpn_b": ShapeSpec(channels=5, stride=16),
            "fpn_a": ShapeSpec(channels=4, stride=8),
            "unused": ShapeSpec(channels=3, stride=4),
        },
        in_strides=[8, 16],
    )
    maps = {name: torch.randn(1, 2, 3, 3) for name in ("fpn_a", "fpn_b", "unused")}
    found = neck(maps)
    assert list(found) == ["p3", "p4"]
    assert found["p3"] is maps["fpn_a"]
    assert found["p4"] is maps["fpn_b"]
    assert neck.output_shape() == {
        "p3": ShapeSpec(channels=4, stride=8),
        "p4": ShapeSpec(channels=5, stride=16),
    }
