"""Run a model over a data set and hand everything it says to evaluators."""

from __future__ import annotations

import contextlib
import datetime
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from yolov7.d2 import DatasetEvaluator, get_world_size, is_main_process

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


def inference_on_dataset(
    model: Callable[[list[dict]], list[dict]],
    loader: Any,
    evaluator: DatasetEvaluator | Sequence[DatasetEvaluator] | None,
) -> dict:
    """Evaluate a model on everything a loader gives.

    No gradients are computed. An `nn.Module` is put into eval mode and, whatever happens, each of
    its parts back into its own mode. Progress is a bar on a terminal and a line now and then
    elsewhere; at the end the time is split into waiting for data, the model, and the evaluator.

    Args:
        model: takes a list of samples, gives one result a sample; an `nn.Module`, an exported model
            or any callable.
        loader: iterable of lists of samples, each image once over all ranks.
        evaluator: an evaluator, several of them (their results are joined), or None to run only.

    Returns:
        `evaluator.evaluate()`; `{}` on ranks other than 0 and without an evaluator.

    Raises:
        ValueError: two evaluators give results under the same name.
    """
    evaluators = _as_list(evaluator)
    total = len(loader) if isinstance(loader, Sized) else None
    logger.info(f"Start inference on {'?' if total is None else total} batches.")
    for each in evaluators:
        each.reset()
    clock = _Clock()
    progress = _Progress(total)
    with _eval_mode(model), torch.no_grad():
        for inputs in clock.waiting_for(loader):
            with clock.measure("model"):
                outputs = model(inputs)
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
            with clock.measure("evaluator"):
                for each in evaluators:
                    each.process(inputs, outputs)
            clock.num_images += len(inputs)
            progress.step(clock)
    progress.close()
    logger.info(clock.report())

    joined: dict = {}
    for each in evaluators:
        results = each.evaluate() or {}
        doubled = sorted(set(results) & set(joined))
        if doubled:
            raise ValueError(f"Several evaluators give results named {', '.join(doubled)}")
        joined |= results
    return joined if is_main_process() else {}


class _Clock:
    """Where the time of an evaluation goes."""

    def __init__(self):
        self.start = time.perf_counter()
        self.seconds = {"data": 0.0, "model": 0.0, "evaluator": 0.0}
        self.num_images = 0

    @contextlib.contextmanager
    def measure(self, part: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - begin

    def waiting_for(self, loader: Any) -> Iterator[list[dict]]:
        iterator = iter(loader)
        while True:
            with self.measure("data"):
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch

    def report(self) -> str:
        total = time.perf_counter() - self.start
        if self.num_images == 0:
            return "Inference done: the loader gave no image."
        parts = ", ".join(
            f"{name} {1000 * seconds / self.num_images:.1f}"
            for name, seconds in self.seconds.items()
        )
        return (
            f"Inference done: {self.num_images} images in {total:.1f} s, "
            f"{self.num_images / total:.1f} images/s on each of {get_world_size()} ranks; "
            f"ms an image: {parts}."
        )


class _Progress:
    """A bar on rank 0's terminal; log lines where nobody watches."""

    def __init__(self, total: int | None):
        self._total = total
        self._done = 0
        self._next_line = time.perf_counter() + _SECONDS_BETWEEN_LINES
        on_terminal = sys.stderr.isatty() and is_main_process()
        self._bar = tqdm(total=total, desc="inference", unit="batch", leave=False, delay=0.5,
                         disable=not on_terminal)  # fmt: skip

    def step(self, clock: _Clock) -> None:
        self._done += 1
        self._bar.update()
        now = time.perf_counter()
        if not self._bar.disable or now < self._next_line:
            return
        self._next_line = now + _SECONDS_BETWEEN_LINES
        pace = (now - clock.start) / self._done
        remaining = "" if self._total is None else f"/{self._total}"
        eta = ""
        if self._total is not None:
            eta = f", eta {datetime.timedelta(seconds=int(pace * (self._total - self._done)))}"
        logger.info(f"Inference: {self._done}{remaining} batches, {pace:.3f} s each{eta}")

    def close(self) -> None:
        self._bar.close()


def _as_list(
    evaluator: DatasetEvaluator | Sequence[DatasetEvaluator] | None,
) -> list[DatasetEvaluator]:
    if evaluator is None:
        return []
    return list(evaluator) if isinstance(evaluator, Sequence) else [evaluator]


@contextlib.contextmanager
def _eval_mode(model: Any) -> Iterator[None]:
    """Put an `nn.Module` into eval mode, and every part of it back into its own afterwards."""
    if not isinstance(model, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
