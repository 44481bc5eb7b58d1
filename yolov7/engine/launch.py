"""Starting the processes of a run: one, one a GPU, or those that torchrun has started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from yolov7.d2 import create_local_process_group
from yolov7.utils.cli import run_command
from yolov7.utils.device import device_type
from yolov7.utils.errors import ConfigError

_SECONDS_TO_END = 60

Main = Callable[[Namespace], int | None]


def is_under_torchrun() -> bool:
    """Whether this process is one of several that torchrun (or a look-alike) has started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def choose_device(device: str, *, num_gpus: int) -> str:
    """Decide on what to run.

    Args:
        device: `MODEL.DEVICE`.
        num_gpus: the flag; 0 means the CPU whatever `device` says. Ignored under torchrun.

    Returns:
        The value for `MODEL.DEVICE`.

    Raises:
        ConfigError: GPUs are asked for that this machine does not have, or there is no such device.
    """
    if num_gpus < 0:
        raise ConfigError(f"--num-gpus must be 0 (the CPU) or more, got {num_gpus}.")
    if num_gpus == 0 and not is_under_torchrun():
        return "cpu"
    if device_type(device, key="MODEL.DEVICE") != "cuda":
        return device
    remedy = "To run on the CPU, give MODEL.DEVICE cpu"
    if is_under_torchrun():
        wanted = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    else:
        wanted, remedy = num_gpus, f"{remedy} or --num-gpus 0"
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted > there:
        raise ConfigError(
            f"{wanted} GPU{'s' if wanted > 1 else ''} asked for, but PyTorch finds "
            f"{there or 'none'} on this machine. {remedy}."
        )
    return device


def launch(main: Main, args: Namespace, *, device: str) -> int:
    """Run `main(args)` in every process of the job.

    On CUDA that is one process a GPU; on the CPU `--num-gpus 2` or more are as many processes
    that talk over gloo.

    Args:
        main: returns an exit code or None; must be importable from a module.
        args: the parsed command line.
        device: what `choose_device` returned.

    Returns:
        The exit code.

    Raises:
        ConfigError: the flags contradict.
    """
    if is_under_torchrun():
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return _join(main, args, device, local_rank, local_size, {"init_method": "env://"})
    per_machine = max(args.num_gpus, 1)
    world_size = per_machine * args.num_machines
    if not 0 <= args.machine_rank < args.num_machines:
        raise ConfigError(
            f"--machine-rank must be from 0 to --num-machines - 1 = {args.num_machines - 1}, "
            f"got {args.machine_rank}."
        )
    if world_size == 1:
        return main(args) or 0
    return _run_children(main, args, device, per_machine, _meeting_place(args))


def _meeting_place(args: Namespace) -> str:
    if args.dist_url != "auto":
        return args.dist_url
    if args.num_machines > 1:
        raise ConfigError(
            "--dist-url auto works on one machine only. Give tcp://HOST:PORT of the first machine."
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _run_children(main: Main, args: Namespace, device: str, count: int, url: str) -> int:
    """Start this machine's processes and wait; one that fails ends the others."""
    # A forked process need not import everything again, but cannot use CUDA.
    can_fork = sys.platform == "linux" and not device.startswith("cuda")
    context = multiprocessing.get_context("fork" if can_fork else "spawn")
    children = [
        context.Process(target=_child, args=(main, args, device, number, count, url))
        for number in range(count)
    ]
    for child in children:
        child.start()

    def pass_on(number: int, _frame: Any) -> None:
        for child in children:
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, number)

    # A Ctrl-C reaches the children by itself: it goes to the whole group of processes.
    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
    }
    try:
        return _wait(children)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait(children: list[Any]) -> int:
    """Wait for all; once one has failed, the others get a minute and are then ended."""
    deadline = None
    code = 0
    while any(child.is_alive() for child in children):
        time.sleep(0.1)
        failed = [child.exitcode for child in children if child.exitcode]
        if failed and deadline is None:
            code = failed[0] if failed[0] > 0 else 128 - failed[0]
            # Children that stop at a signal do so together; after an error the rest would wait
            # for the failed one for ever.
            deadline = time.monotonic() + (_SECONDS_TO_END if code > 128 else 2)
        if deadline is not None and time.monotonic() > deadline:
            for child in children:
                child.kill()
    codes = [child.exitcode for child in children if child.exitcode]
    return code or (codes[0] if codes else 0)


def _child(
    main: Main, args: Namespace, device: str, local_rank: int, local_size: int, url: str
) -> None:
    options = {
        "init_method": url,
        "rank": args.machine_rank * local_size + local_rank,
        "world_size": args.num_machines * local_size,
    }
    if args.debug:
        sys.argv.append("--debug")
    parent = multiprocessing.parent_process()
    threading.Thread(target=_die_with, args=(parent.pid,), daemon=True).start()
    run_command(lambda: _join(main, args, device, local_rank, local_size, options))


def _die_with(parent: int) -> None:
    """End this process like its parent, which was killed: nobody would see or stop it."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


def _join(
    main: Main,
    args: Namespace,
    device: str,
    local_rank: int,
    local_size: int,
    options: dict[str, Any],
) -> int:
    """Enter the process group, run `main`, leave."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if on_gpu else "gloo", **options)
    try:
        create_local_process_group(local_size)
        return main(args) or 0
    finally:
        dist.destroy_process_group()
