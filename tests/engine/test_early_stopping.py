"""Early stopping: when, with what result, and the same after a resume."""

import json
import logging

import pytest

from yolov7.checkpoint import load_checkpoint
from yolov7.d2 import JSONWriter
from yolov7.engine import hooks

NAN = float("nan")


class Run:
    """A toy training evaluated after every second iteration, with given results."""

    def __init__(self, make_toy, folder, values, *, patience, start_iter=0, max_iter=12,
                 metric="bbox/AP", resume=None):  # fmt: skip
        self.evaluated, self.saved = [], []
        values = iter(values)

        def evaluate():
            self.evaluated.append(self.toy.trainer.iter)
            return {"bbox/AP": next(values)}

        evaluation = hooks.Evaluation(evaluate, period=2)
        best = hooks.BestCheckpoint(evaluation, metric=metric, save=self.saved.append)
        writing = hooks.Writing([JSONWriter(str(folder / "metrics.json"))], period=1)
        self.toy = make_toy(
            start_iter=start_iter,
            max_iter=max_iter,
            more_hooks=[evaluation, best, hooks.EarlyStopping(best, patience=patience), writing],
        )
        if resume is not None:
            self.toy.state.restore(load_checkpoint(resume), rank=0)
        self.toy.trainer.train()


@pytest.mark.parametrize(
    ("values", "patience", "evaluated"),
    [
        # 20 is not beaten by the two evaluations after it; the second of them is the final one.
        ([10.0, 20.0, 15.0, 20.0], 2, [1, 3, 5, 7]),
        # An improvement in time starts the count anew; the whole training, and its final one.
        ([10.0, 9.0, 11.0, 10.0, 12.0, 1.0], 2, [1, 3, 5, 7, 9, 12]),
        # A metric that is not a number is no improvement, even as the first.
        ([NAN, NAN], 2, [1, 3]),
        ([10.0, 10.0], 1, [1, 3]),
    ],
)
def test_stops_after_so_many_evaluations_without_a_better_one(
    make_toy, tmp_path, values, patience, evaluated
):
    run = Run(make_toy, tmp_path, values, patience=patience)
    assert run.evaluated == evaluated
    assert run.toy.trainer.is_complete
    ended = min(evaluated[-1], 11)
    final = load_checkpoint(tmp_path / "model_final.pth")
    assert final["iteration"] == ended
    assert final["ema"]["updates"] == ended + 1
    assert run.toy.checkpointer.last().name == "model_final.pth"
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert max(line["iteration"] for line in lines if "total_loss" in line) == ended
    assert [line["iteration"] for line in lines if "bbox/AP" in line] == evaluated


def test_the_message_says_what_was_best_and_how_to_go_on(make_toy, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="yolov7"):
        Run(make_toy, tmp_path, [10.0, 20.0, 15.0], patience=1)
    assert "ends early, after 6 of 12 iterations: the best bbox/AP was 20.000, at iteration 3" in (
        caplog.text
    )
    assert "SOLVER.EARLY_STOPPING_PATIENCE (1)" in caplog.text


def test_a_resumed_run_counts_on(make_toy, tmp_path):
    """Interrupted after the first evaluation that was not better: the next one decides."""
    values = [10.0, 20.0, 15.0, 14.0, 13.0, 12.0]
    first = Run(make_toy, tmp_path, values, patience=3, max_iter=8)
    assert first.evaluated == [1, 3, 5, 8]
    final = tmp_path / "model_final.pth"
    rest = Run(make_toy, tmp_path, values[3:], patience=3, start_iter=8, max_iter=20, resume=final)
    assert rest.evaluated == [9, 11]
    assert load_checkpoint(final)["hooks"]["BestCheckpoint"] == {
        "metric": "bbox/AP", "best": 20.0, "best_iter": 3, "evaluations_since": 3,
    }  # fmt: skip


def test_a_run_that_ended_early_is_complete_until_the_patience_is_raised(make_toy, tmp_path):
    values, final = [10.0, 9.0, 8.0, 11.0, 12.0], tmp_path / "model_final.pth"
    assert Run(make_toy, tmp_path, values, patience=2).evaluated == [1, 3, 5]
    again = Run(make_toy, tmp_path, [8.0], patience=2, start_iter=6, resume=final)
    assert again.evaluated == [6]
    assert again.saved == []
    assert load_checkpoint(final)["iteration"] == 5
    onwards = Run(make_toy, tmp_path, values[3:] * 2, patience=3, start_iter=6, resume=final)
    assert onwards.evaluated == [7, 9, 12]
    assert load_checkpoint(final)["iteration"] == 11


def test_of_losses_the_smaller_is_the_better(make_toy, tmp_path):
    def run(metric, values):
        evaluation = hooks.Evaluation(lambda: {metric: next(values)}, period=2)
        saved = []
        best = hooks.BestCheckpoint(evaluation, metric=metric, save=saved.append)
        make_toy(max_iter=8, more_hooks=[evaluation, best]).trainer.train()
        return [about["value"] for about in saved]

    assert run("validation/total_loss", iter([5.0, 4.0, 4.5, 3.0])) == [5.0, 4.0, 3.0]
    assert run("bbox/AP", iter([5.0, 4.0, 4.5, 6.0])) == [5.0, 6.0]


def test_an_unknown_metric_never_stops(make_toy, tmp_path, caplog):
    run = Run(make_toy, tmp_path, [1.0] * 6, patience=1, metric="bbox/APx")
    assert run.evaluated == [1, 3, 5, 7, 9, 12]
    assert "no early stopping" in caplog.text
