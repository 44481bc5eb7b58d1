import argparse
import functools
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from yolov7.d2 import all_gather, get_local_rank, get_local_size, get_rank, get_world_size
from yolov7.engine.arguments import default_argument_parser
from yolov7.engine.launch import choose_device, is_under_torchrun, launch
from yolov7.utils.errors import ConfigError, UserError


def pretend_gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_defaults_are_detectron2s():
    args = default_argument_parser().parse_args(["--config-file", "a.yaml", "SOLVER.BASE_LR", "1"])
    assert (args.num_gpus, args.num_machines, args.machine_rank) == (1, 1, 0)
    assert not args.resume
    assert not args.eval_only
    assert args.opts == ["SOLVER.BASE_LR", "1"]


@pytest.mark.parametrize(
    ("device", "num_gpus", "there", "expected"),
    [
        ("cuda", 1, 1, "cuda"),
        ("cuda", 2, 4, "cuda"),
        ("cuda", 0, 4, "cpu"),
        ("cpu", 1, 0, "cpu"),
        ("cpu", 2, 0, "cpu"),
    ],
)
def test_device(monkeypatch, device, num_gpus, there, expected):
    pretend_gpus(monkeypatch, there)
    assert choose_device(device, num_gpus=num_gpus) == expected


@pytest.mark.parametrize(("num_gpus", "there"), [(1, 0), (8, 2)])
def test_missing_gpus_are_an_error_with_the_remedy(monkeypatch, num_gpus, there):
    pretend_gpus(monkeypatch, there)
    with pytest.raises(ConfigError, match=r"MODEL\.DEVICE cpu or --num-gpus 0") as error:
        choose_device("cuda", num_gpus=num_gpus)
    assert f"finds {there or 'none'}" in str(error.value)


def test_flags_do_not_count_under_torchrun(monkeypatch):
    pretend_gpus(monkeypatch, 0)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert is_under_torchrun()
    assert choose_device("cpu", num_gpus=0) == "cpu"
    with pytest.raises(ConfigError, match="2 GPUs asked for"):
        choose_device("cuda", num_gpus=0)


def test_negative_number_of_gpus():
    with pytest.raises(ConfigError, match="--num-gpus must be 0"):
        choose_device("cuda", num_gpus=-1)


def arguments(num_gpus, **others):
    defaults = {"num_machines": 1, "machine_rank": 0, "dist_url": "auto", "debug": False}
    return argparse.Namespace(num_gpus=num_gpus, **{**defaults, **others})


def test_one_process_runs_right_here():
    seen = []
    assert launch(lambda args: seen.append(get_world_size()), arguments(0), device="cpu") == 0
    assert seen == [1]
    assert launch(lambda args: 3, arguments(1), device="cpu") == 3


def test_contradicting_flags():
    with pytest.raises(ConfigError, match="--machine-rank must be from 0 to"):
        launch(len, arguments(1, num_machines=2, machine_rank=2), device="cpu")
    with pytest.raises(ConfigError, match="tcp://HOST:PORT"):
        launch(len, arguments(1, num_machines=2), device="cpu")


def _report(args, folder):
    ranks = all_gather((get_rank(), get_world_size(), get_local_rank(), get_local_size()))
    (folder / str(get_rank())).write_text(repr(ranks))
    return 0


def _fail_on_one(args):
    if get_rank() == 1:
        raise UserError("rank 1 has a problem")
    time.sleep(60)


def _end_by_signal(args):
    return 128 + signal.SIGTERM


linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@linux
def test_two_processes_form_a_group(tmp_path):
    code = launch(functools.partial(_report, folder=tmp_path), arguments(2), device="cpu")
    assert code == 0
    expected = repr([(0, 2, 0, 2), (1, 2, 1, 2)])
    assert [(tmp_path / name).read_text() for name in "01"] == [expected] * 2


@linux
def test_an_error_on_one_rank_ends_all():
    started = time.monotonic()
    assert launch(_fail_on_one, arguments(2), device="cpu") == 1
    assert time.monotonic() - started < 30


def _note_and_sleep(args, folder):
    (folder / str(get_rank())).write_text(str(os.getpid()))
    time.sleep(60)


def _launch_two(folder):
    launch(functools.partial(_note_and_sleep, folder=folder), arguments(2), device="cpu")


@linux
def test_processes_end_with_a_launcher_that_is_killed(tmp_path):
    """Nobody would see them train on, and they would hold the output folder."""
    launcher = multiprocessing.get_context("fork").Process(target=_launch_two, args=(tmp_path,))
    launcher.start()
    files = [tmp_path / "0", tmp_path / "1"]
    deadline = time.monotonic() + 30
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ranks = [int(file.read_text()) for file in files]
    assert all(map(_is_running, ranks))
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.join()
    deadline = time.monotonic() + 10
    while any(map(_is_running, ranks)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(process):
    """Whether a process is there and no zombie."""
    try:
        status = (Path("/proc") / str(process) / "stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@linux
def test_exit_code_of_a_signal():
    assert launch(_end_by_signal, arguments(2), device="cpu") == 128 + signal.SIGTERM
