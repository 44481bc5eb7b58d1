"""The warning of a loss that does not fall, on losses made up for the occasion."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from yolov7.config import load_config
from yolov7.d2 import EventStorage
from yolov7.engine.hooks import LossWatch
from yolov7.engine.setup import _loss_watch


def watch(losses, *, at=200, start=0, state=None, skipped=()):
    """Run the hook over `{name: function of the iteration}`; the hook, after `at` iterations."""
    hook = LossWatch(at=at, advice="Look at the data.")
    if state is not None:
        hook.load_state_dict(state)
    with EventStorage(start) as storage:
        for iteration in range(start, at + 20):
            storage.iter = iteration
            hook.trainer = SimpleNamespace(storage=storage, iter=iteration)
            if iteration not in skipped:
                values = {name: function(iteration) for name, function in losses.items()}
                storage.put_scalars(total_loss=sum(values.values()), lr=0.1, **values)
            hook.after_step()
    return hook


def noisy(value):
    """Every third iteration has three times the loss."""
    return lambda i: value(i) * (3 if i % 3 == 0 else 1)


@pytest.mark.parametrize(
    ("name", "loss", "warned"),
    [
        ("constant", lambda i: 2.0, True),
        ("rising", lambda i: 2 + i / 100, True),
        ("falling by a half", lambda i: 2 - i / 200, False),
        ("falling by 4 %", lambda i: 2 - 0.08 * (i >= 100), True),
        ("falling by 6 %", lambda i: 2 - 0.12 * (i >= 100), False),
        ("noise about a constant", noisy(lambda i: 2.0), True),
        ("noise about a falling one", noisy(lambda i: 2 - i / 400), False),
    ],
)
def test_only_a_loss_that_does_not_fall_is_pointed_out(name, loss, warned, caplog):
    with caplog.at_level(logging.WARNING):
        watch({"loss_box": loss})
    assert len(caplog.records) == warned, name


def test_the_warning_lists_the_terms_and_ends_with_the_advice(caplog):
    watch({"loss_box": lambda i: 1 - i / 1000, "loss_class": lambda i: 4.0})
    (message,) = [record.getMessage() for record in caplog.records]
    # Medians of iterations 0 to 49 and 150 to 199: 24.5 and 174.5.
    assert "total_loss 4.976 -> 4.825, loss_box 0.9755 -> 0.8255, loss_class 4 -> 4" in message
    assert "before iteration 200" in message
    assert message.endswith("Look at the data.")


def test_a_resumed_run_knows_its_beginning(caplog):
    flat = {"loss_box": lambda i: 2.0}
    early = watch(flat, at=100).state_dict()
    early["latest"] = {}
    caplog.clear()
    watch(flat, start=120, state=early)
    assert len(caplog.records) == 1
    caplog.clear()
    # Without it there is nothing to compare with.
    watch(flat, start=120)
    assert not caplog.records


def test_steps_that_were_left_out_do_not_count(caplog):
    bad = range(40)
    watch({"loss_box": lambda i: 9.0 if i in bad else 2.0}, skipped=bad)
    assert len(caplog.records) == 1


def test_when_a_run_is_watched():
    def at(*overrides):
        return [hook._at for hook in _loss_watch(load_config("digits/yolox_nano", [*overrides]))]

    # A warm-up of 100 iterations, and 500 after it, of 2,000.
    assert at() == [600]
    assert at("SOLVER.LOSS_WATCH_ITERS", "0") == []
    assert at("SOLVER.MAX_ITER", "620") == []
    assert at("SOLVER.LOSS_WATCH_ITERS", "100") == [200]
    (hook,) = _loss_watch(load_config("digits/yolox_nano"))
    for word in ("tools/visualize_data.py", "SOLVER.BASE_LR 0.04 for 16", "MODEL.WEIGHTS"):
        assert word in hook._advice
