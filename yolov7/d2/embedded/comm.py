"""Talking to the other processes of a distributed job; in a single process all of it is trivial."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

# The processes of this machine: state that `create_local_process_group` sets once.
_local_group: dist.ProcessGroup | None = None
_local_group_size = 0


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Number of processes of the job."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Number of this process among all of the job, from 0."""
    return dist.get_rank() if _is_distributed() else 0


def is_main_process() -> bool:
    """Say whether this is process 0, the one that writes."""
    return get_rank() == 0


def create_local_process_group(num_workers_per_machine: int) -> None:
    """Make the groups of processes that share a machine. All processes must call this.

    Ranks 0..n-1 are on the first machine, and so on. A repeated call does nothing.

    Raises:
        AssertionError: the machines would not have equally many processes.
    """
    global _local_group, _local_group_size
    if _local_group is not None:
        assert _local_group_size == num_workers_per_machine, (
            f"The local groups have {_local_group_size} processes already, "
            f"not {num_workers_per_machine}."
        )
        return
    world_size = get_world_size()
    assert world_size % num_workers_per_machine == 0, (
        f"{world_size} processes are not a multiple of {num_workers_per_machine} per machine."
    )
    # Every process must take part in making every group, also those it does not belong to.
    for first in range(0, world_size, num_workers_per_machine):
        ranks = range(first, first + num_workers_per_machine)
        group = dist.new_group(list(ranks))
        if get_rank() in ranks:
            _local_group, _local_group_size = group, num_workers_per_machine


def _get_local_group() -> dist.ProcessGroup:
    assert _local_group is not None, (
        "Call create_local_process_group() after torch.distributed.init_process_group()."
    )
    return _local_group


def get_local_rank() -> int:
    """Number of this process among those of its machine, from 0."""
    return dist.get_rank(_get_local_group()) if _is_distributed() else 0


def get_local_size() -> int:
    """Number of processes on this machine."""
    return dist.get_world_size(_get_local_group()) if _is_distributed() else 1


def synchronize() -> None:
    """Wait until all processes are here."""
    if get_world_size() == 1:
        return
    if dist.get_backend() == "nccl":
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


@functools.cache
def _cpu_group() -> dist.ProcessGroup:
    """All processes, over gloo: objects then do not pass through GPU memory."""
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else dist.group.WORLD


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Give every process the objects of all, in order of rank. They must be picklable."""
    if get_world_size() == 1:
        return [data]
    group = _cpu_group() if group is None else group
    gathered = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, data, group=group)
    return gathered


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Give process `dst` the objects of all, in order of rank; the others get an empty list."""
    if get_world_size() == 1:
        return [data]
    group = _cpu_group() if group is None else group
    is_receiver = dist.get_rank(group) == dst
    gathered = [None] * dist.get_world_size(group) if is_receiver else None
    dist.gather_object(data, gathered, dst=dst, group=group)
    return gathered if gathered is not None else []


def shared_random_seed() -> int:
    """Draw a random number that is the same in all processes. All of them must call this."""
    return all_gather(np.random.randint(2**31))[0]  # noqa: NPY002


def reduce_dict(input_dict: dict[str, torch.Tensor], average: bool = True) -> dict[str, Any]:
    """Sum or average the scalars of all processes; only process 0 gets the result.

    Args:
        input_dict: scalar tensors, with the same keys in all processes.
    """
    world_size = get_world_size()
    if world_size == 1:
        return input_dict
    names = sorted(input_dict)
    with torch.no_grad():
        values = torch.stack([input_dict[name] for name in names])
        dist.reduce(values, dst=0)
        if average and is_main_process():
            values = values / world_size
    return dict(zip(names, values, strict=True))
