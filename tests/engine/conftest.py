"""A toy to train: linear regression on samples that are pure functions of the iteration."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from yolov7.checkpoint import Checkpointer
from yolov7.engine import hooks
from yolov7.engine.ema import ModelEMA
from yolov7.engine.trainer import Trainer
from yolov7.engine.training_state import TrainingState


class ToyCriterion:
    def __init__(self):
        self.loss_weights = {"loss_fit": 1.0, "loss_l1": 0.0}


class ToyModel(nn.Module):
    """Losses of a small net with batch norm and dropout; its random state must survive a stop."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.out = nn.Linear(8, 1)
        self.criterion = ToyCriterion()

    def forward(self, samples):
        inputs = torch.stack([sample["image"] for sample in samples]).to(self.out.weight)
        output = self.out(self.net(inputs))
        if not self.training:
            return [{"output": row} for row in output]
        error = output[:, 0] - inputs.sum(dim=1)
        weights = self.criterion.loss_weights
        return {
            "loss_fit": weights["loss_fit"] * (error**2).mean(),
            "loss_l1": weights["loss_l1"] * error.abs().mean(),
        }


class ToyLoader:
    """Batches of an iteration are the same in every run; `bad` iterations hold a NaN."""

    def __init__(self, start_iter, max_iter, *, batch_size=4, bad=()):
        self.range = range(start_iter, max_iter)
        self.batch_size = batch_size
        self.bad = bad

    def __iter__(self):
        for iteration in self.range:
            generator = torch.Generator().manual_seed(iteration)
            images = torch.randn(self.batch_size, 3, generator=generator)
            if iteration in self.bad:
                images[1, 2] = float("nan")
            names = [f"{iteration}_{i}.jpg" for i in range(self.batch_size)]
            yield [
                {"image": image, "file_name": name, "sources": [name]}
                for image, name in zip(images, names, strict=True)
            ]


class Toy:
    """A trainer with the hooks of a real run around the toy model."""

    def __init__(self, folder, *, start_iter=0, max_iter=12, period=4, bad=(), on_bad=None,
                 more_hooks=(), device="cpu", **options):  # fmt: skip
        torch.manual_seed(0)
        self.model = ToyModel().to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda iteration: 1 / (1 + iteration)
        )
        self.ema = ModelEMA(self.model, decay=0.9, tau=3)
        self.checkpointer = Checkpointer(folder, keep=2)
        self.trainer = Trainer(
            model=self.model,
            optimizer=self.optimizer,
            loader=ToyLoader(start_iter, max_iter, bad=bad),
            start_iter=start_iter,
            max_iter=max_iter,
            on_nonfinite_loss=on_bad or _fail,
            **options,
        )
        self.state = TrainingState(
            trainer=self.trainer, scheduler=self.scheduler, ema=self.ema, seed=5, extra={}
        )
        self.trainer.register_hooks(
            [
                hooks.LearningRate(self.scheduler),
                hooks.EMAUpdate(self.ema),
                *more_hooks,
                hooks.Checkpointing(self.checkpointer, collect=self.state.collect, period=period),
            ]
        )


def _fail(trainer):
    raise AssertionError(f"unexpected bad loss: {trainer.summary.losses}")


@pytest.fixture(autouse=True)
def plain_logging():
    """Undo what `setup_logger` does, so that `caplog` sees the messages of later tests."""
    logger = logging.getLogger("yolov7")
    yield
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


@pytest.fixture
def make_toy(tmp_path):
    def make(folder=tmp_path, **options):
        return Toy(folder, **options)

    return make
