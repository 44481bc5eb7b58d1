"""The parts of `benchmarks/bm_detr_peer.py` that do not need the authors' program."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from yolov7.d2 import Boxes, Instances

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("bm_detr_peer")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_objects_in_the_authors_form(benchmark):
    instances = Instances((50, 100), gt_boxes=Boxes(torch.tensor([[10.0, 20.0, 30.0, 40.0]])))
    instances.gt_classes = torch.tensor([7])
    sample = {"image": torch.zeros(3, 50, 100, dtype=torch.uint8), "instances": instances}
    (target,) = benchmark.authors_targets([sample])
    assert target["boxes"].tolist() == [pytest.approx([0.2, 0.6, 0.2, 0.4])]
    assert target["labels"].tolist() == [7]


def test_pictures_in_the_authors_form(benchmark):
    """Their mean and deviation are ours divided by 255."""
    image = torch.tensor([123.675, 116.28, 103.53 + 57.375]).view(3, 1, 1)
    (normalised,) = benchmark.authors_images([{"image": image}])
    assert normalised.flatten().tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_pictures_of_the_batches(benchmark):
    one, two = (benchmark.make_samples(count) for count in (1, 2))
    assert [tuple(sample["image"].shape) for sample in two] == [(3, 800, 1066), (3, 704, 938)]
    assert torch.equal(one[0]["image"], two[0]["image"])
    assert all(len(sample["instances"]) == benchmark.OBJECTS for sample in two)


def test_detections_are_compared_query_by_query(benchmark):
    theirs = {
        "boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0], [5.0, 5.0, 8.0, 8.0]]),
        "scores": torch.tensor([0.5, 0.25]),
    }

    def ours(shift=0.0, score=0.25):
        return {
            "instances": Instances(
                (10, 10),
                pred_boxes=Boxes(theirs["boxes"] + shift),
                scores=torch.tensor([0.5, score]),
            )
        }

    found = benchmark.check_detections([theirs], [ours(shift=0.0625)])
    assert found == {"largest_difference_of_scores": 0.0, "largest_difference_of_pixels": 0.0625}
    for wrong in (ours(shift=0.2), ours(score=0.26)):
        with pytest.raises(AssertionError):
            benchmark.check_detections([theirs], [wrong])
