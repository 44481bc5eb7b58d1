"""The training loop."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from yolov7.checkpoint import get_rng_state, set_rng_state
from yolov7.d2 import EventStorage, HookBase, all_gather
from yolov7.engine.precision import Precision
from yolov7.engine.step_summary import StepSummary
from yolov7.solver.gradient_clipping import GradientClipper
from yolov7.utils.errors import ConfigError

logger = logging.getLogger(__name__)

Batch = list[dict[str, Any]]


class TrainingStopped(Exception):
    """Training ended early, after a completed step, because a signal asked for it."""

    def __init__(self, signal_number: int, iteration: int):
        super().__init__(f"stopped by signal {signal_number} after iteration {iteration}")
        self.signal_number = signal_number


class Trainer:
    """Trains a model: one batch, one backward pass, one step of the optimiser an iteration.

    Everything else (learning rate, averaging, checkpoints, evaluation, logs …) is a hook, called
    in the order of registration. All ranks take every decision together.

    Args:
        model: returns a dict of losses in training mode, whose sum is minimised; plain or wrapped
            for distributed training.
        optimizer: over the parameters of the model.
        loader: yields this rank's batch of samples for every iteration from `start_iter` on.
        max_iter: number of iterations of the whole training.
        start_iter: the first iteration of this run.
        precision: number format of the forward pass; None for that of the weights.
        clip_gradients: called with the parameters before the optimiser's step.
        accumulation_steps: parts the batch is computed in; must divide its size.
        on_nonfinite_loss: called on all ranks with the trainer when a loss is not finite, the
            weights and buffers being those from before the step; raises to end the training, or
            returns to go on without this step.

    Attributes:
        iter: the current iteration; `max_iter` once training is complete.
        max_iter: number of iterations; `finish_early` lowers it.
        storage: the event storage of the run.
        batch: the samples of the current iteration.
        summary: the losses of the current iteration.
        step_rng_state: this rank's random generators from before the current iteration.
        initial_rng_state: what the generators are set to before the first step; None to leave
            them. Set when training is resumed.
        stop_signal: the signal on which all ranks stop after this iteration, or None.
        hook_seconds: what the hooks of each class have taken so far.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        loader: Iterable[Batch],
        max_iter: int,
        start_iter: int = 0,
        precision: Precision | None = None,
        clip_gradients: GradientClipper | None = None,
        accumulation_steps: int = 1,
        on_nonfinite_loss: Callable[[Trainer], None],
    ):
        self.model = model
        self.optimizer = optimizer
        self.loader = loader
        self.start_iter = self.iter = start_iter
        self.max_iter = max_iter
        self.precision = precision or Precision("cpu")
        self.clip_gradients = clip_gradients
        self.accumulation_steps = accumulation_steps
        self.on_nonfinite_loss = on_nonfinite_loss
        self.hooks: list[HookBase] = []
        self.hook_seconds: dict[str, float] = {}
        self.storage: EventStorage | None = None
        self.batch: Batch = []
        self.summary: StepSummary | None = None
        self.step_rng_state: dict[str, Any] = {}
        self.initial_rng_state: dict[str, Any] | None = None
        self.stop_signal: int | None = None
        self._requested_signal = 0
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._buffers = _BufferBackup(self.bare_model)

    @property
    def bare_model(self) -> nn.Module:
        """The model without its wrapper for distributed training."""
        wrapped = isinstance(self.model, DistributedDataParallel)
        return self.model.module if wrapped else self.model

    @property
    def is_complete(self) -> bool:
        """Whether all iterations are done."""
        return self.iter >= self.max_iter

    @property
    def is_last_step(self) -> bool:
        """Whether no step of this run follows the present one; right after the step only."""
        return self.iter + 1 >= self.max_iter or self.stop_signal is not None

    def register_hooks(self, hooks: Iterable[HookBase]) -> None:
        """Append hooks, ours or detectron2's."""
        for hook in hooks:
            if not isinstance(hook, HookBase):
                raise TypeError(f"expected a HookBase, got {type(hook).__name__}")
            # Weak, as in detectron2: hooks and trainer would otherwise keep each other alive.
            hook.trainer = weakref.proxy(self)
            self.hooks.append(hook)

    def request_stop(self, signal_number: int) -> None:
        """Ask all ranks to stop after the next completed step; safe in a signal handler."""
        self._requested_signal = signal_number

    def finish_early(self, num_iter: int) -> None:
        """Let the training be complete after `num_iter` iterations; all ranks must ask for it."""
        self.max_iter = min(self.max_iter, num_iter)

    def train(self) -> None:
        """Run from `start_iter` to `max_iter`.

        Raises:
            TrainingStopped: a signal asked to stop; the hooks have seen the last step.
        """
        with EventStorage(self.start_iter) as self.storage:
            self.iter = self.start_iter
            try:
                self._call_hooks("before_train")
                self._run()
            except BaseException:
                self._end_after_error()
                raise
            self.storage.iter = self.iter
            self._call_hooks("after_train")
        if self.stop_signal is not None:
            raise TrainingStopped(self.stop_signal, self.iter)

    def _run(self) -> None:
        self.model.train()
        batches = iter(self.loader)
        if self.initial_rng_state is not None:
            set_rng_state(self.initial_rng_state)
        while self.iter < self.max_iter:
            self.storage.iter = self.iter
            self._call_hooks("before_step")
            self.run_step(batches)
            self._call_hooks("after_step")
            if self.stop_signal is not None:
                return
            self.iter += 1

    def run_step(self, batches: Iterator[Batch]) -> None:
        """Take one batch and make one step of the optimiser."""
        started = time.perf_counter()
        self.batch = next(batches)
        self.storage.put_scalar("data_time", time.perf_counter() - started)
        self.step_rng_state = get_rng_state()
        self._buffers.save()

        self.optimizer.zero_grad(set_to_none=True)
        self.summary = self._forward_and_backward()
        self._call_hooks("after_backward")
        self.summary.wait()
        if self.summary.stop_requested:
            self.stop_signal = max(all_gather(self._requested_signal))
        if not self.summary.is_finite:
            self._buffers.restore()
            self.on_nonfinite_loss(self)
            return

        scaler = self.precision.scaler
        if self.clip_gradients is not None:
            scaler.unscale_(self.optimizer)
            self.clip_gradients(self._parameters)
        scaler.step(self.optimizer)
        scaler.update()
        losses = self.summary.losses
        self.storage.put_scalars(total_loss=sum(losses.values()), **losses)

    def _forward_and_backward(self) -> StepSummary:
        parts = split_batch(self.batch, self.accumulation_steps)
        sums: dict[str, Tensor] = {}
        for number, part in enumerate(parts, start=1):
            is_last = number == len(parts)
            with self._gradients_stay_local() if not is_last else nullcontext():
                with self.precision.autocast():
                    losses = self.model(part)
                for name, loss in losses.items():
                    share = loss.detach() / len(parts)
                    sums[name] = sums[name] + share if name in sums else share
                if is_last:
                    # Before the backward pass is queued, so that the numbers travel meanwhile.
                    summary = StepSummary(sums, stop_requested=self._requested_signal != 0)
                self.precision.scaler.scale(sum(losses.values()) / len(parts)).backward()
        return summary

    def _gradients_stay_local(self) -> AbstractContextManager:
        """Leave out the exchange of gradients, which follows with the last part of a batch."""
        no_sync = getattr(self.model, "no_sync", nullcontext)
        return no_sync()

    def _end_after_error(self) -> None:
        """Let every hook end, whatever becomes of the others: the first error is what counts."""
        self.storage.iter = self.iter
        for hook in self.hooks:
            try:
                hook.after_train()
            except Exception as error:
                logger.warning("%s could not end orderly: %s", type(hook).__name__, error)

    def _call_hooks(self, method: str) -> None:
        started = time.perf_counter()
        for hook in self.hooks:
            getattr(hook, method)()
            name, ended = type(hook).__name__, time.perf_counter()
            self.hook_seconds[name] = self.hook_seconds.get(name, 0.0) + ended - started
            started = ended


def split_batch(batch: Batch, num_parts: int) -> list[Batch]:
    """Split a batch into consecutive parts of equal size.

    Raises:
        ConfigError: they would not be equal.
    """
    size = len(batch) // num_parts
    if size * num_parts != len(batch):
        raise ConfigError(
            f"{len(batch)} samples cannot be split into {num_parts} equal parts: "
            "SOLVER.ACCUMULATION_STEPS must divide the batch of each process."
        )
    return [batch[i : i + size] for i in range(0, len(batch), size)]


class _BufferBackup:
    """Copies of a model's buffers, because a forward pass with a bad loss has spoilt them."""

    def __init__(self, model: nn.Module):
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for buffer in model.buffers():
            by_type.setdefault(buffer.dtype, []).append(buffer)
        self._pairs = [
            (buffers, [buffer.clone() for buffer in buffers]) for buffers in by_type.values()
        ]

    def save(self) -> None:
        for buffers, copies in self._pairs:
            torch._foreach_copy_(copies, buffers)

    @torch.no_grad()
    def restore(self) -> None:
        for buffers, copies in self._pairs:
            torch._foreach_copy_(buffers, copies)
