import pytest

from yolov7.analysis import FamilyMember, ModelStatistics, family_configs, markdown_table
from yolov7.utils.errors import ConfigError


def member(name, gflops, milliseconds=None):
    statistics = ModelStatistics(1_234_567, 1_200_000, gflops, gflops / 2, (320, 640), ())
    return FamilyMember(name, statistics, milliseconds, milliseconds and milliseconds / 2)


def test_families_are_the_configs_of_one_name():
    found = family_configs("yolov7")
    assert {"coco/yolov7", "coco/yolov7_tiny", "coco/yolov7_e6e"} <= set(found)
    assert all(name.startswith("coco/yolov7") for name in found)
    # Configs may lie deeper.
    assert "coco/detr/detr_r50" in family_configs("detr")
    assert family_configs("anchordetr") == [
        "coco/detr/anchordetr_r50",
        "coco/detr/anchordetr_r50_dc5",
    ]
    with pytest.raises(ConfigError, match=r"no family 'yolov8'.*Did you mean"):
        family_configs("yolov8")


def test_table_by_operations():
    assert markdown_table([member("b", 20.0), member("a", 3.14)]).splitlines() == [
        "| model | input | parameters | deployed | GFLOPs | deployed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| a | 320x640 | 1,234,567 | 1,200,000 | 3.1 | 1.6 |",
        "| b | 320x640 | 1,234,567 | 1,200,000 | 20.0 | 10.0 |",
    ]


def test_table_with_latencies():
    lines = markdown_table([member("a", 2.0, 8.0), member("b", 3.0)]).splitlines()
    assert lines[0].endswith("| ms, CPU | deployed |")
    assert lines[2].endswith("| 8.0 | 4.0 |")
    assert lines[3].endswith("| - | - |")
