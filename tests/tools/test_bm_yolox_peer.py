"""The parts of `benchmarks/bm_yolox_peer.py` that do not need the authors' program."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.d2 import Boxes, Instances
from yolov7.data import training_records

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("bm_yolox_peer")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_labels_in_the_authors_form(benchmark):
    instances = Instances((100, 100), gt_boxes=Boxes(torch.tensor([[10.0, 20.0, 30.0, 60.0]])))
    instances.gt_classes = torch.tensor([7])
    empty = Instances((100, 100), gt_boxes=Boxes(torch.zeros(0, 4)))
    empty.gt_classes = torch.zeros(0, dtype=torch.int64)
    labels = benchmark.authors_labels([{"instances": instances}, {"instances": empty}])
    assert labels.shape == (2, 120, 5)
    assert labels[0, 0].tolist() == [7, 20, 40, 20, 40]
    assert not labels[0, 1:].any() and not labels[1].any()


def test_detections_are_compared_after_cutting(benchmark):
    theirs = torch.tensor(
        [
            [-5.0, 10.0, 20.0, 30.0, 0.5, 1.0],
            [60.0, 60.0, 70.0, 70.0, 0.9, 0.0],
            [-9.0, 0.0, -1.0, 5.0, 0.7, 2.0],
            [0.0, 0.0, 5.0, 5.0, 0.1, 2.0],
        ]
    )
    ours = torch.tensor([[60.0, 60.0, 70.0, 70.0, 0.9, 0.0], [0.0, 10.0, 20.0, 30.0, 0.50001, 1.0]])
    found = benchmark.check_detections(theirs, ours, (100, 100), most=3)
    assert (found["authors_detections"], found["our_detections"]) == (4, 2)
    assert found["largest_difference_of_scores"] == pytest.approx(1e-5, rel=0.01)
    for row, column in ((1, 4), (0, 0)):
        wrong = ours.clone()
        wrong[row, column] += 1
        with pytest.raises(AssertionError):
            benchmark.check_detections(theirs, wrong, (100, 100), most=3)


def test_data_are_read_by_our_recipe(benchmark, tmp_path):
    benchmark.make_data(tmp_path, 2)
    cfg = benchmark.our_config("nano", tmp_path, batch_size=4)
    assert (cfg.MODEL.DEVICE, cfg.SOLVER.IMS_PER_BATCH) == ("cpu", 4)
    records = training_records(cfg)
    assert [len(record["annotations"]) for record in records] == [7, 7]
    assert all(Path(record["file_name"]).is_file() for record in records)


def test_what_workers_made_before_is_skipped(benchmark):
    assert list(benchmark.skip([1, 2, 3, 4], 3)) == [4]
    assert next(iter(benchmark.skip(np.arange(3), 0))) == 0


def test_rows_of_a_tree(benchmark, capsys):
    row = {"median_s": 0.5, "fastest_s": 0.25, "ratio": 2.0}
    benchmark.print_rows("nano", {"step": {"ours": row}, "loss": {"ours": 3.0}, "count": 3})
    (line,) = capsys.readouterr().out.splitlines()
    assert " ".join(line.split()) == "nano / step ours 500.0 ms 250.0 at best 2.00 times as fast"
