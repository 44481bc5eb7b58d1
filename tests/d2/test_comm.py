"""Talking between processes: alone, and in a job of two machines with two processes each."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from yolov7.d2.embedded import comm


def test_alone():
    assert (comm.get_rank(), comm.get_world_size()) == (0, 1)
    assert (comm.get_local_rank(), comm.get_local_size()) == (0, 1)
    assert comm.is_main_process()
    comm.synchronize()
    data = object()
    assert comm.all_gather(data)[0] is data
    assert comm.gather(data)[0] is data
    losses = {"a": torch.ones(())}
    assert comm.reduce_dict(losses) is losses
    assert 0 <= comm.shared_random_seed() < 2**31


def test_local_groups_need_whole_machines():
    with pytest.raises(AssertionError, match="1 processes are not a multiple of 2"):
        comm.create_local_process_group(2)


def work(rank: int, folder: Path) -> None:
    """One of four processes; writes what it saw."""
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=4)
    try:
        comm.get_local_rank()
        before = "no error"
    except AssertionError as error:
        before = str(error)
    for _ in range(2):  # the second call does nothing
        comm.create_local_process_group(2)
    np.random.seed(rank)
    values = {"b": torch.tensor(float(rank)), "a": torch.tensor(1.0)}
    mean = comm.reduce_dict(values)
    total = comm.reduce_dict(values, average=False)
    comm.synchronize()
    place = [comm.get_rank(), comm.get_world_size(), comm.get_local_rank(), comm.get_local_size()]
    seen = {
        "before": before,
        "place": place,
        "main": comm.is_main_process(),
        "all": comm.all_gather({"r": rank}),
        "two": comm.gather(rank, dst=2),
        "seed": comm.shared_random_seed(),
        "mean": {name: float(value) for name, value in mean.items()},
        "total": {name: float(value) for name, value in total.items()},
    }
    (folder / f"{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


def test_four_processes_on_two_machines(tmp_path):
    # Forking spares four imports of torch.
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(rank, tmp_path)) for rank in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    results = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(4)]
    assert [r["place"] for r in results] == [[0, 4, 0, 2], [1, 4, 1, 2], [2, 4, 0, 2], [3, 4, 1, 2]]
    assert [r["main"] for r in results] == [True, False, False, False]
    assert all(r["all"] == [{"r": rank} for rank in range(4)] for r in results)
    assert [r["two"] for r in results] == [[], [], [0, 1, 2, 3], []]
    assert len({r["seed"] for r in results}) == 1
    assert results[0]["mean"] == {"a": 1.0, "b": 1.5}
    assert results[0]["total"] == {"a": 4.0, "b": 6.0}
    assert all("create_local_process_group" in r["before"] for r in results)
