"""The evaluator of a data set is the one that its metadata asks for."""

from __future__ import annotations

import logging

import pytest

from yolov7.d2 import MetadataCatalog
from yolov7.evaluation import COCOEvaluator, VOCEvaluator, build_evaluator
from yolov7.utils.errors import ConfigError, DatasetError


@pytest.fixture
def named():
    def _named(kind: str | None) -> str:
        if kind is not None:
            MetadataCatalog.get("build_test").set(evaluator_type=kind)
        return "build_test"

    yield _named
    MetadataCatalog.remove("build_test")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, COCOEvaluator),
        ("coco", COCOEvaluator),
        ("voc", VOCEvaluator),
        ("pascal_voc", VOCEvaluator),
    ],
)
def test_kinds(named, kind, expected):
    evaluator = build_evaluator(named(kind), output_dir=None, tasks=("bbox",))
    assert type(evaluator) is expected


def test_unknown_kind(named):
    with pytest.raises(DatasetError, match=r"build_test.*'coca'.*Did you mean 'coco'"):
        build_evaluator(named("coca"), output_dir=None, tasks=("bbox",))


def test_the_metric_is_handed_on(named):
    with pytest.raises(ConfigError, match="VOC_METRIC"):
        build_evaluator(named("voc"), output_dir=None, tasks=("bbox",), voc_metric="none")


def test_masks_are_not_compared_by_voc(named, caplog):
    with caplog.at_level(logging.WARNING):
        build_evaluator(named("voc"), output_dir=None, tasks=("bbox", "segm"))
    assert "masks are not compared" in caplog.text
