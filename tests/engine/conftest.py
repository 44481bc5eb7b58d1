"""A toy to train, linear regression on samples that are pure functions of the iteration; and a
tiny YOLOX with a data set of four pictures."""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from yolov7.checkpoint import Checkpointer
from yolov7.config import get_config
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


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Four pictures of 64x64 with one object each, as a COCO data set."""
    folder = tmp_path_factory.mktemp("shapes")
    images, annotations = [], []
    for i in range(1, 5):
        picture = np.full((64, 64, 3), 40 * i, np.uint8)
        x, y, side, kind = 8 + 4 * i, 20, 24, i % 2
        cv2.rectangle(picture, (x, y), (x + side, y + side), (255, 255 * kind, 0), -1)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png", "height": 64, "width": 64})
        annotations.append(
            {"id": i, "image_id": i, "category_id": 5 + kind, "bbox": [x, y, side, side],
             "area": side * side, "iscrowd": 0}
        )  # fmt: skip
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 5 + k, "name": name} for k, name in enumerate(["square", "disc"])],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def cfg(shapes, tmp_path):
    cfg = get_config()
    cfg.DATASETS.REGISTER = [
        {"NAME": f"{shapes.name}_shapes", "FORMAT": "coco",
         "ANNOTATIONS": str(shapes / "labels.json"), "IMAGES": str(shapes)}
    ]  # fmt: skip
    cfg.DATASETS.TRAIN = (f"{shapes.name}_shapes",)
    cfg.DATASETS.TEST = (f"{shapes.name}_shapes",)
    cfg.OUTPUT_DIR = str(tmp_path / "run")
    cfg.merge_from_list(
        ["MODEL.DEVICE", "cpu", "MODEL.META_ARCHITECTURE", "YOLOX", "MODEL.YOLO.CLASSES", 2,
         "MODEL.BACKBONE.NAME", "CSPDarknet", "MODEL.BACKBONE.FREEZE_AT", 0,
         "MODEL.YOLO.WIDTH_MUL", 0.125,
         "MODEL.YOLO.DEPTH_MUL", 0.33, "MODEL.PIXEL_MEAN", [0.0, 0.0, 0.0],
         "MODEL.DARKNET.DEPTH_WISE", True, "INPUT.INPUT_SIZE", [64, 64],
         "SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 3, "SOLVER.WARMUP_ITERS", 0,
         "SOLVER.STEPS", (), "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.EMA.ENABLED", True,
         "DATALOADER.NUM_WORKERS", 0, "SEED", 1]
    )  # fmt: skip
    return cfg
