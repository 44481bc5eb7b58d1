"""Whether training waits for its data, and what to change then."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolov7.data import SampleCost

_TOO_MUCH_WAITING = 0.2
_MOST_WORKERS_PER_CORE = 4
_CHEAPER = (
    "Cheaper samples help: pictures stored at about INPUT.INPUT_SIZE, fewer augmentations (a "
    "mosaic reads several pictures)"
)


@dataclass(frozen=True)
class LoaderVerdict:
    """What was found about a loader.

    Attributes:
        is_loader_bound: whether training waits for data more than a fifth of its time.
        waiting: the part of its time that it waits, in [0, 1].
        text: both in words, with what to change.
    """

    is_loader_bound: bool
    waiting: float
    text: str


def judge_loader(
    *,
    step_seconds: float,
    waiting_seconds: float,
    batch_size: int,
    cost: SampleCost,
    num_workers: int,
    num_processes: int,
    cores: int,
    training_threads: int,
) -> LoaderVerdict:
    """Decide whether training is held up by its loader, and find the remedy that fits.

    Args:
        step_seconds: of an iteration on average, waiting included.
        waiting_seconds: of it, waiting for the batch.
        batch_size: samples of an iteration, of one process.
        cost: what the samples have cost so far.
        num_workers: `DATALOADER.NUM_WORKERS`, the workers of each process.
        num_processes: training processes that share this machine.
        cores: of this machine that may be used.
        training_threads: cores that each process keeps busy by training itself: 1 where a GPU
            computes.
    """
    waiting = min(waiting_seconds / max(step_seconds, 1e-9), 1.0)
    if waiting < _TOO_MUCH_WAITING:
        text = f"Not loader-bound: training waits for data {waiting:.0%} of its time."
        return LoaderVerdict(False, waiting, text)

    each = cost.seconds / max(cost.samples, 1)
    queued = cost.queue_seconds / max(cost.seconds, 1e-9)
    idle = 1 - queued - cost.cpu_seconds / max(cost.seconds, 1e-9)
    computing = max(step_seconds - waiting_seconds, 1e-9)
    enough = max(math.ceil(batch_size * each / computing), num_workers + 1)
    room = max(cores - num_processes * training_threads, 0) // num_processes
    all_workers = num_workers * num_processes

    found = f"Loader-bound: training waits for data {waiting:.0%} of its time."
    if idle > 0.5:
        most = max(_MOST_WORKERS_PER_CORE * cores // num_processes, num_workers + 1)
        advice = (
            f"A sample takes {1000 * each:.0f} ms, of which {idle:.0%} is waiting for the storage: "
            "copy the data set to a faster disk or into memory, or raise DATALOADER.NUM_WORKERS "
            f"from {num_workers} to {min(enough, most)}, as workers that wait need no core."
        )
    elif num_workers < room:
        advice = (
            f"Raise DATALOADER.NUM_WORKERS from {num_workers} to {min(enough, room)}: of "
            f"{cores} cores {_not_in_use(cores, num_processes, training_threads, num_workers)}."
        )
        if enough > room:
            advice += f" That will not do for all of it. {_CHEAPER}."
    else:
        busy = f"{num_processes * training_threads} for training"
        if all_workers:
            busy += f", {all_workers} for workers"
        advice = f"More workers would not help: the {cores} cores are taken ({busy}). {_CHEAPER}"
        advice += f"; a sample takes {1000 * each:.0f} ms."
        if all_workers > cores:
            advice += f" Workers beyond the cores are in each other's way: try {max(room, 1)}."
    if queued > 0.5 and num_processes * training_threads + all_workers <= cores:
        advice += (
            f" Other programs use the cores: {queued:.0%} of a sample's time is waiting for one."
        )
    return LoaderVerdict(True, waiting, f"{found} {advice}")


def _not_in_use(cores: int, num_processes: int, training_threads: int, num_workers: int) -> str:
    free = cores - num_processes * (training_threads + num_workers)
    return "1 is not in use" if free == 1 else f"{free} are not in use"
