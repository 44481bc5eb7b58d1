import errno
import json
import logging
import multiprocessing
import os
import re
import signal
import threading
import time

import pytest
import torch

from yolov7.analysis import LoaderVerdict
from yolov7.checkpoint import load_checkpoint
from yolov7.d2 import EventWriter, HookBase, JSONWriter, get_event_storage
from yolov7.data import SampleCost
from yolov7.engine import hooks
from yolov7.engine.metrics_file import drop_lines_from
from yolov7.engine.tensorboard_writer import TensorBoardWriter
from yolov7.engine.trainer import TrainingStopped
from yolov7.utils.errors import UserError


class EachIteration(HookBase):
    """Calls a function before each step; what it returns is kept."""

    def __init__(self, function):
        self.function = function
        self.seen = []

    def before_step(self):
        self.seen.append(self.function(self.trainer))


@pytest.mark.parametrize("start_iter", [0, 5, 8, 10])
def test_loss_phase_switches_at_its_iteration_also_after_a_resume(make_toy, start_iter):
    weights = {"loss_fit": 1.0, "loss_l1": 0.0}
    phase = hooks.LossPhase(loss_weights=weights, last_phase_weights={"loss_l1": 2.0}, start=8)
    look = EachIteration(lambda trainer: (trainer.iter, weights["loss_l1"]))
    make_toy(start_iter=start_iter, max_iter=12, more_hooks=[phase, look]).trainer.train()
    expected = [(i, 2.0 if i >= 8 else 0.0) for i in range(start_iter, 12)]
    assert look.seen == expected
    assert weights["loss_fit"] == 1.0


@pytest.mark.parametrize("start_iter", [0, 5, 8])
def test_the_momentum_follows_the_iteration_also_after_a_resume(make_toy, start_iter):
    look = EachIteration(lambda t: [group["momentum"] for group in t.optimizer.param_groups])
    momentum = hooks.Momentum(lambda iteration: iteration / 100)
    toy = make_toy(start_iter=start_iter, max_iter=10, more_hooks=[momentum, look])
    toy.trainer.train()
    assert [set(seen) for seen in look.seen] == [{i / 100} for i in range(start_iter, 10)]


def test_evaluation_runs_each_period_and_once_in_the_end(make_toy, tmp_path):
    evaluated = []
    toy = make_toy(max_iter=12)

    def evaluate():
        final = (tmp_path / "model_final.pth").exists()
        evaluated.append((toy.trainer.iter, final))
        return {"bbox/AP": 40.0 + len(evaluated)}

    evaluation = hooks.Evaluation(evaluate, period=4)
    metrics = hooks.Writing([JSONWriter(str(tmp_path / "metrics.json"))], period=5)
    toy.trainer.register_hooks([evaluation, metrics])
    toy.trainer.train()
    # The final one comes when the final weights are safe.
    assert evaluated == [(3, False), (7, False), (12, True)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    aps = {line["iteration"]: line["bbox/AP"] for line in lines if "bbox/AP" in line}
    assert aps == {3: 41.0, 7: 42.0, 12: 43.0}
    assert {4, 9, 11} <= {line["iteration"] for line in lines if "total_loss" in line}


def test_every_evaluation_is_written_however_rarely_the_rest_is(make_toy, tmp_path):
    count = iter(range(100))
    evaluation = hooks.Evaluation(lambda: {"bbox/AP": float(next(count))}, period=2)
    metrics = hooks.Writing(
        [JSONWriter(str(tmp_path / "metrics.json"))], period=7, evaluation=evaluation
    )
    make_toy(max_iter=10, more_hooks=[evaluation, metrics]).trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    aps = {line["iteration"]: line["bbox/AP"] for line in lines if "bbox/AP" in line}
    assert aps == {1: 0.0, 3: 1.0, 5: 2.0, 7: 3.0, 10: 4.0}
    assert [line["iteration"] for line in lines] == [1, 3, 5, 6, 7, 9, 10]


def test_no_final_evaluation_of_an_interrupted_training(make_toy):
    evaluated = []
    stop = EachIteration(lambda trainer: trainer.request_stop(15) if trainer.iter == 4 else None)
    evaluation = hooks.Evaluation(lambda: evaluated.append(1) or {}, period=0)
    toy = make_toy(more_hooks=[stop, evaluation])
    with pytest.raises(TrainingStopped):
        toy.trainer.train()
    assert evaluated == []


def test_best_checkpoint_survives_a_resume(make_toy, tmp_path):
    def run(values, start_iter, resume=False):
        values = iter(values)
        evaluation = hooks.Evaluation(lambda: {"bbox/AP": next(values)}, period=2)
        saved = []
        best = hooks.BestCheckpoint(evaluation, metric="bbox/AP", save=saved.append)
        toy = make_toy(
            start_iter=start_iter, max_iter=start_iter + 8, period=4, more_hooks=[evaluation, best]
        )
        if resume:
            toy.state.restore(load_checkpoint(tmp_path / "model_0000003.pth"), rank=0)
        toy.trainer.train()
        return [(about["iteration"], about["value"]) for about in saved]

    assert run([10.0, 30.0, float("nan"), 20.0], 0) == [(1, 10.0), (3, 30.0)]
    assert run([25.0, 31.0, 30.0, 12.0], 4, resume=True) == [(7, 31.0)]


def test_unknown_best_metric_is_named(make_toy, caplog):
    evaluation = hooks.Evaluation(lambda: {"bbox/AP": 1.0}, period=0)
    best = hooks.BestCheckpoint(evaluation, metric="bbox/APx", save=lambda about: 1 / 0)
    with caplog.at_level(logging.WARNING, logger="yolov7"):
        make_toy(max_iter=2, more_hooks=[evaluation, best]).trainer.train()
    assert "TEST.BEST_METRIC 'bbox/APx' is not among the results (bbox/AP)" in caplog.text


def test_signals_are_caught_during_training_only(make_toy, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    kill = EachIteration(
        lambda trainer: os.kill(os.getpid(), signal.SIGTERM) if trainer.iter == 2 else None
    )
    with pytest.raises(TrainingStopped) as stopped:
        make_toy(more_hooks=[hooks.StopSignals(), kill]).trainer.train()
    assert stopped.value.signal_number == signal.SIGTERM
    assert load_checkpoint(tmp_path / "model_0000002.pth")["iteration"] == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_timer_puts_the_time_of_iterations(make_toy):
    storage = {}
    look = EachIteration(lambda trainer: storage.update(trainer.storage.latest()))
    timer = hooks.IterationTimer(warmup_iters=1)
    make_toy(max_iter=4, more_hooks=[timer, look]).trainer.train()
    seconds, iteration = storage["time"]
    assert 0 < seconds < 5
    assert iteration == 2


def test_time_report_names_the_slowest_hooks(make_toy, caplog):
    class Slow(HookBase):
        def after_step(self):
            time.sleep(0.03)

        def after_train(self):
            time.sleep(0.1)

    timer = hooks.IterationTimer()
    toy = make_toy(max_iter=5, period=0)
    toy.trainer.hooks.insert(0, timer)
    timer.trainer = toy.trainer
    toy.trainer.register_hooks([Slow(), hooks.TimeReport(timer)])
    with caplog.at_level(logging.INFO, logger="yolov7"):
        toy.trainer.train()
    assert timer.steps == 5
    assert 0 < timer.seconds < 1
    assert toy.trainer.hook_seconds["Slow"] == pytest.approx(0.25, abs=0.1)
    assert toy.trainer.hook_seconds.keys() >= {"IterationTimer", "EMAUpdate", "Checkpointing"}
    assert "5 iterations in 0:00:00 (0.0" in caplog.text
    assert re.search(
        r"Total training time: 0:00:0\d \(0:00:00 on hooks: (\w+ [\d.]+ s, )?Slow 0\.\d s",
        caplog.text,
    )


def test_timing_hooks_costs_next_to_nothing(make_toy):
    """Less than 10 µs a call, of which there are some dozens an iteration."""
    toy = make_toy(max_iter=1)
    toy.trainer.hooks = [HookBase() for _ in range(1000)]
    toy.trainer._call_hooks("before_step")
    started = time.perf_counter()
    toy.trainer._call_hooks("before_step")
    assert time.perf_counter() - started < 0.01


def report(judge=lambda **measured: None, cost=SampleCost, **options):
    return hooks.LoaderReport(judge=judge, cost=cost, **options)


def test_skipped_images_are_counted_and_reported(make_toy, caplog):
    loader_report = report(period=3)
    toy = make_toy(max_iter=4, more_hooks=[loader_report])
    batches = [
        [{**sample, "skipped_images": 1} for sample in batch] for batch in toy.trainer.loader
    ]
    toy.trainer.loader = batches
    with caplog.at_level(logging.WARNING, logger="yolov7"):
        toy.trainer.train()
    assert "12 missing or unreadable images were replaced by others, 12 so far" in caplog.text
    assert "4 missing or unreadable images were replaced by others, 16 so far" in caplog.text
    assert loader_report.state_dict() == {"skipped": 16}


def test_a_checkpoint_knows_the_images_skipped_since_the_last_look(make_toy):
    first, second = report(period=100), report(period=100)
    toy = make_toy(max_iter=2, more_hooks=[first])
    toy.trainer.loader = [[{**s, "skipped_images": 1} for s in b] for b in toy.trainer.loader]
    seen = []

    class Checkpoint(HookBase):
        def after_step(self):
            seen.append(first.state_dict())

    toy.trainer.hooks.insert(toy.trainer.hooks.index(first) + 1, Checkpoint())
    toy.trainer.train()
    assert seen == [{"skipped": 4}, {"skipped": 8}]
    second.load_state_dict(seen[0])
    assert second.state_dict() == {"skipped": 4}


@pytest.mark.parametrize("is_bound", [True, False])
def test_the_loader_is_judged_early_and_in_the_end(make_toy, caplog, is_bound):
    """Steps of 1 s wait 0.9 s, later ones 0.4 s; the first five have no time yet."""
    measured = []

    def judge(**measurements):
        measured.append(measurements)
        return LoaderVerdict(is_bound, 0.5, f"verdict {len(measured)}")

    class Times(HookBase):
        def after_step(self):
            iteration = self.trainer.iter
            self.trainer.storage.put_scalar("data_time", 0.9 if iteration < 105 else 0.4)
            if iteration >= 5:
                self.trainer.storage.put_scalar("time", 1.0)

    loader_report = report(judge, lambda: SampleCost(8, 2.0, 1.0), period=1000)
    toy = make_toy(max_iter=205, period=0, more_hooks=[Times(), loader_report])
    with caplog.at_level(logging.INFO, logger="yolov7"):
        toy.trainer.train()
    early, last = measured
    assert early["waiting_seconds"] == pytest.approx(0.9)
    assert last["waiting_seconds"] == pytest.approx(0.65)
    assert early["step_seconds"] == last["step_seconds"] == pytest.approx(1.0)
    assert (early["batch_size"], early["cost"]) == (4, SampleCost(8, 2.0, 1.0))
    said = [record for record in caplog.records if "verdict" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING" if is_bound else "INFO"] * 2


def test_writers_write_each_period_and_close(make_toy):
    class Writer(EventWriter):
        def __init__(self):
            self.calls = []

        def write(self):
            self.calls.append(get_event_storage().iter)

        def close(self):
            self.calls.append("closed")

    evaluation = hooks.Evaluation(lambda: {"bbox/AP": 1.0}, period=0)
    for more, calls in (([], [2, 5, 7, "closed"]), ([evaluation], [2, 5, 7, 8, "closed"])):
        writer = Writer()
        writing = hooks.Writing([writer], period=3)
        make_toy(max_iter=8, more_hooks=[*more, writing]).trainer.train()
        assert writer.calls == calls


def test_a_resumed_run_writes_the_medians_of_one_that_never_stopped(make_toy, tmp_path):
    def lines(folder, start_iter=0, **options):
        drop_lines_from(folder / "metrics.json", start_iter)
        recent = hooks.RecentScalars(window=20)
        writing = hooks.Writing([JSONWriter(str(folder / "metrics.json"))], period=1)
        toy = make_toy(folder, start_iter=start_iter, more_hooks=[recent, writing], **options)
        if start_iter:
            checkpoint = load_checkpoint(toy.checkpointer.last())
            assert checkpoint["iteration"] + 1 == start_iter
            assert "data_time" not in checkpoint["hooks"]["RecentScalars"]
            toy.state.restore(checkpoint, rank=0)
        toy.trainer.train()
        found = map(json.loads, (folder / "metrics.json").read_text().splitlines())
        return [{k: v for k, v in line.items() if k != "data_time"} for line in found]

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = lines(tmp_path / "whole", max_iter=50)
    lines(tmp_path / "stopped", max_iter=24)
    resumed = lines(tmp_path / "stopped", start_iter=24, max_iter=50)
    assert resumed == whole
    assert [line["iteration"] for line in whole] == list(range(50))
    again = lines(tmp_path / "stopped", start_iter=50, max_iter=50)
    assert again == whole, "nothing is written twice"


def test_a_full_disk_of_a_writer_is_a_clear_error(make_toy, tmp_path, caplog):
    """The last checkpoint stays; the writers' further complaints do not hide the first one."""

    class Full(EventWriter):
        def write(self):
            raise OSError(errno.ENOSPC, "No space left on device")

        close = write

    writing = hooks.Writing([Full()], period=6)
    with pytest.raises(UserError, match=r"Full cannot write .*: No space left on device.*--resume"):
        make_toy(max_iter=8, more_hooks=[writing]).trainer.train()
    assert load_checkpoint(tmp_path / "model_0000003.pth")["iteration"] == 3
    assert "Writing could not end orderly: Full cannot write" in caplog.text


def test_tensorboards_full_disk_is_noticed(make_toy, tmp_path, monkeypatch):
    """Its thread writes when it likes; what went wrong there arrives with a later call."""
    writer = TensorBoardWriter(tmp_path)
    record_writer = writer._writer.file_writer.event_writer._async_writer._writer

    def fail(data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(record_writer, "write", fail)
    # Python would print what the thread raises.
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    with pytest.raises(UserError, match="TensorBoardWriter cannot write"):
        make_toy(max_iter=50, more_hooks=[hooks.Writing([writer], period=1)]).trainer.train()


def test_pictures_of_a_fresh_and_of_a_resumed_run(make_toy):
    drawn = []
    pictures = lambda: hooks.Pictures(  # noqa: E731
        draw_data=lambda: drawn.append("data"),
        draw_batch=lambda batch, iteration: drawn.append((len(batch), iteration)),
        draw_curves=lambda: drawn.append("curves"),
        first=2,
        period=5,
    )
    make_toy(max_iter=8, more_hooks=[pictures()]).trainer.train()
    assert drawn == ["data", (4, 0), (4, 1), (4, 4), "curves"]
    drawn.clear()
    make_toy(start_iter=8, max_iter=12, more_hooks=[pictures()]).trainer.train()
    assert drawn == [(4, 9), "curves"]


def test_progress_bar_is_for_terminals(make_toy, capsys):
    make_toy(max_iter=3, more_hooks=[hooks.ProgressBar()]).trainer.train()
    captured = capsys.readouterr()
    assert captured.err == ""


def test_metrics_file_drops_what_is_done_again(tmp_path):
    path = tmp_path / "metrics.json"
    drop_lines_from(path, 3)
    assert not path.exists()
    lines = [json.dumps({"iteration": i, "bbox/AP": float("nan")}) for i in range(5)]
    path.write_text("\n".join(lines) + '\n{"iteration": 2, "cut')
    drop_lines_from(path, 3)
    assert path.read_text().splitlines() == lines[:3]
    drop_lines_from(path, 0)
    assert path.read_text() == ""


def test_bare_detectron2_hook_state_is_not_needed(make_toy, tmp_path):
    """A hook without state leaves no trace in the checkpoint."""
    make_toy(max_iter=1, more_hooks=[HookBase()]).trainer.train()
    assert load_checkpoint(tmp_path / "model_final.pth")["hooks"] == {}
    assert torch.is_tensor(load_checkpoint(tmp_path / "model_final.pth")["rng"][0]["torch"])


class _Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        return {"image": torch.full((3,), float(index)), "file_name": f"{index}.jpg"}


def test_workers_outlive_a_signal_to_the_whole_group_but_not_the_training(make_toy):
    """As torchrun and Ctrl-C do: all get the signal, and the step is finished all the same."""
    loader = torch.utils.data.DataLoader(
        _Numbers(), batch_size=4, num_workers=2, collate_fn=list, prefetch_factor=2
    )
    children = []

    def kill_all(trainer):
        if trainer.iter != 5:
            return
        children.extend(multiprocessing.active_children())
        for child in children:
            os.kill(child.pid, signal.SIGTERM)
        time.sleep(0.2)
        assert all(child.is_alive() for child in children)
        os.kill(os.getpid(), signal.SIGTERM)

    toy = make_toy(max_iter=250, more_hooks=[hooks.StopSignals(), EachIteration(kill_all)])
    toy.trainer.loader = loader
    with pytest.raises(TrainingStopped):
        toy.trainer.train()
    assert toy.trainer.iter == 5
    assert len(children) == 2
    started = time.monotonic()
    for child in children:
        child.terminate()
        child.join(20)
    assert time.monotonic() - started < 10
