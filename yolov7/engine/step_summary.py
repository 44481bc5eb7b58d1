"""What one iteration must know about all ranks: the losses, and whether someone wants to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from yolov7.d2 import get_world_size


class StepSummary:
    """The losses of a step and a stop request, averaged over all ranks and sent to the host.

    It is sent between the forward and the backward pass. The copy arrives while the device works
    on the backward pass, so reading it does not leave a GPU idle, and all ranks get equal values
    and come to equal decisions.

    Args:
        losses: the terms of this rank, scalars; the same keys in the same order on all ranks.
        stop_requested: whether this rank was asked to stop.
    """

    def __init__(self, losses: Mapping[str, Tensor], *, stop_requested: bool):
        self._names = list(losses)
        terms = [loss.detach().float() for loss in losses.values()]
        stop = torch.full_like(terms[0], float(stop_requested))
        self._local = torch.stack([*terms, stop])
        total = self._local
        if get_world_size() > 1:
            total = self._local.clone()
            dist.all_reduce(total)
        self._copied = torch.cuda.Event() if total.is_cuda else None
        self._total = total.to("cpu", non_blocking=True)
        if self._copied is not None:
            self._copied.record()

    def wait(self) -> None:
        """Wait until the numbers have arrived; they must not be read before."""
        if self._copied is not None:
            self._copied.synchronize()
        *sums, stop = self._total.tolist()
        self.losses = {
            name: value / get_world_size() for name, value in zip(self._names, sums, strict=True)
        }
        self.stop_requested = stop > 0

    @property
    def is_finite(self) -> bool:
        """Whether every term of every rank is a finite number."""
        return all(math.isfinite(value) for value in self.losses.values())

    def local_losses(self) -> dict[str, float]:
        """The terms of this rank alone."""
        return dict(zip(self._names, self._local.tolist(), strict=False))
