"""Our YOLOX against the authors' program, in one process and in turn: loader, training, inference.

    git clone https://github.com/Megvii-BaseDetection/YOLOX /tmp/yolox_peer
    pip install --no-deps --target /tmp/yolox_packages loguru tabulate psutil
    python benchmarks/bm_yolox_peer.py --peer /tmp/yolox_peer --peer-packages /tmp/yolox_packages

Both get the same weights (theirs, converted), pictures and objects. Before anything is timed, their
loss and ours, and their detections and ours, must agree. A ratio says how many times as fast as the
authors' program something is. Data are made-up pictures of 640x480 with seven objects each, in
COCO's layout.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from bm_mosaic import synthetic_photo
from harness import CONFIGS, alternate, compare, print_rows, summarize, write_result
from peer_yolox import CONFIDENCE, NMS, PeerYOLOX, authors_labels
from torch import nn

from yolov7.analysis import (
    INFERENCE_VARIANTS,
    inference_function,
    seconds_per_batch,
    synthetic_samples,
)
from yolov7.checkpoint.conversion import convert_yolox
from yolov7.config import load_config
from yolov7.d2 import CfgNode
from yolov7.data import build_train_loader
from yolov7.data.mappers import build_test_mapper
from yolov7.data.mappers.sample import image_to_tensor
from yolov7.engine.training_speed import TrainingSpeed
from yolov7.modeling import build_detector
from yolov7.ops import clip_boxes, nonempty_boxes

SIZES = {"nano": 416, "s": 640}
OBJECTS = 16


def make_data(folder: Path, pictures: int) -> None:
    """Write pictures and annotations as COCO lays them out."""
    rng = np.random.default_rng(0)
    height, width = 480, 640
    (folder / "train2017").mkdir()
    (folder / "annotations").mkdir()
    images, annotations = [], []
    for index in range(1, pictures + 1):
        name = f"{index:012}.jpg"
        cv2.imwrite(str(folder / "train2017" / name), synthetic_photo(rng, height, width))
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        for _ in range(7):
            w, h = rng.uniform(16, width / 2), rng.uniform(16, height / 2)
            box = [rng.uniform(0, width - w), rng.uniform(0, height - h), w, h]
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": index, "bbox": box, "area": w * h,
                    "category_id": int(rng.integers(1, 81)), "iscrowd": 0,
                }
            )  # fmt: skip
    categories = [{"id": index, "name": f"class{index}"} for index in range(1, 81)]
    text = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(text))


def our_config(size: str, data: Path, batch_size: int) -> CfgNode:
    """The recipe for COCO, on the made-up data and the CPU."""
    register = {
        "NAME": f"bm_yolox_peer_{data.name}",
        "FORMAT": "coco",
        "ANNOTATIONS": str(data / "annotations" / "instances_train2017.json"),
        "IMAGES": str(data / "train2017"),
    }
    cfg = load_config(CONFIGS / f"yolox_{size}.yaml")
    cfg.DATASETS.REGISTER, cfg.DATASETS.TRAIN = [register], (register["NAME"],)
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED = "cpu", False
    cfg.SOLVER.IMS_PER_BATCH = batch_size
    cfg.INPUT.MULTI_SCALE.ENABLED = False
    cfg.MODEL.YOLO.CONF_THRESHOLD, cfg.MODEL.YOLO.NMS_THRESHOLD = CONFIDENCE, NMS
    return cfg


def our_model(cfg: CfgNode, peer: PeerYOLOX) -> nn.Module:
    """Our model with the authors' weights."""
    model = build_detector(cfg)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict(convert_yolox(peer.model.state_dict(), shapes))
    return model


class Measurement:
    """Everything that is measured of one model."""

    def __init__(self, size: str, data: Path, arguments: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.peer = PeerYOLOX(arguments.peer, arguments.peer_packages, size)
        self.cfg = our_config(size, data, arguments.batch_size)
        self.data, self.rounds = data, arguments.rounds
        self.batch_size, self.workers = arguments.batch_size, arguments.workers
        self.side = SIZES[size]
        # About as many steps of nano as take the time of one of s.
        self.iterations = 4 if size == "nano" else 1

    def loader(self) -> dict[str, Any]:
        """Batches in this process: decoding, Mosaic, MixUp, colours, flips."""
        theirs = self.peer.loader(self.data, batch_size=self.batch_size, num_workers=0)
        self.cfg.DATALOADER.NUM_WORKERS = 0
        ours = build_train_loader(self.cfg, seed=0)
        batches = max(2, 24 // self.batch_size)

        def measure(loader: Iterable[Any]) -> Callable[[], float]:
            return lambda: seconds_per_batch(loader, batches=batches, warm_up=1) / self.batch_size

        return summarize(
            alternate({"authors": measure(theirs), "ours": measure(ours)}, max(self.rounds, 5))
        )

    def training(self) -> dict[str, Any]:
        """Steps on a batch in memory, and steps fed by workers."""
        samples = synthetic_samples(
            self.batch_size, (self.side, self.side), num_classes=80, num_objects=OBJECTS
        )
        images = torch.stack([sample["image"] for sample in samples]).float()
        labels = authors_labels(samples)
        trainers = {
            "ours": self._trainer("contiguous"),
            "ours, channels_last": self._trainer("channels_last"),
        }
        self.peer.start_training(self.batch_size)
        # The first step of both has the rate 0: what it gives is the loss of the same weights.
        loss = {"authors": self.peer.step(images, labels)}
        for name, speed in trainers.items():
            losses = speed.trainer.model.train()(samples)
            loss[name] = float(sum(losses.values()))
            np.testing.assert_allclose(loss[name], loss["authors"], rtol=1e-3)

        theirs = self.peer.loader(self.data, batch_size=self.batch_size, num_workers=self.workers)
        self.cfg.DATALOADER.NUM_WORKERS = self.workers
        ours = build_train_loader(self.cfg, seed=0)
        synthetic = itertools.repeat((images, labels, None, None))

        def their_steps(loader: Any, made_before: int = 0) -> Callable[[], float]:
            def measure() -> float:
                batches = skip(loader, made_before)
                start = time.perf_counter()
                for _ in itertools.islice(self.peer.steps(batches), self.iterations):
                    pass
                return (time.perf_counter() - start) / self.iterations

            return measure

        def our_steps(
            speed: TrainingSpeed, loader: Any, made_before: int = 0
        ) -> Callable[[], float]:
            return lambda: speed.seconds_per_step(
                self.iterations, batches=skip(loader, made_before), warm_up=0
            )[0]

        made_before = 2 * self.workers
        alone = {"authors": their_steps(synthetic)}
        fed = {"authors": their_steps(theirs, made_before)}
        for name, speed in trainers.items():
            alone[name] = our_steps(speed, itertools.repeat(samples))
            fed[name] = our_steps(speed, ours, made_before)
        return {
            "first_loss": loss,
            "step": summarize(alternate(alone, self.rounds)),
            "step_and_loader": summarize(alternate(fed, self.rounds)),
        }

    def inference(self) -> dict[str, Any]:
        """One picture in memory to detections in its pixels."""
        rng = np.random.default_rng(1)
        picture = synthetic_photo(rng, self.side, self.side)
        photo = synthetic_photo(rng, 480, 640)
        self._make_confident(picture)
        model = our_model(self.cfg, self.peer)
        mapper = build_test_mapper(self.cfg)

        def ours(variant: str) -> Callable[[np.ndarray], torch.Tensor]:
            run = inference_function(model, INFERENCE_VARIANTS[variant])

            def detect(picture: np.ndarray) -> torch.Tensor:
                height, width = picture.shape[:2]
                image = image_to_tensor(mapper.resize(picture))
                found = run([{"image": image, "height": height, "width": width}])[0]["instances"]
                columns = (found.scores[:, None], found.pred_classes[:, None])
                return torch.cat([found.pred_boxes.tensor, *columns], dim=1)

            return detect

        contiguous, last = torch.contiguous_format, torch.channels_last
        theirs = {
            "eager": self.peer.detector(layout=contiguous, dtype=None),
            "channels_last": self.peer.detector(layout=last, dtype=None),
            "bf16": self.peer.detector(layout=last, dtype=torch.bfloat16),
        }
        agreement = check_detections(
            theirs["eager"](picture),
            ours("eager")(picture),
            picture.shape[:2],
            self.cfg.TEST.DETECTIONS_PER_IMAGE,
        )
        calls = 4 * self.iterations
        result: dict[str, Any] = {"agreement": agreement}
        for name, detect in theirs.items():
            rows = {"authors": detect, "ours": ours(name)}
            rows["ours, reparameterized"] = ours(REPARAMETERIZED[name])
            result[name] = self._time(rows, picture, calls)
        rows = {"authors": theirs["eager"], "ours": ours("eager")}
        result["eager, 640x480 photo"] = self._time(rows, photo, calls)
        return result

    def _trainer(self, layout: str) -> TrainingSpeed:
        cfg = self.cfg.clone()
        cfg.MODEL.MEMORY_FORMAT = layout
        speed = TrainingSpeed.from_config(cfg)
        shapes = {k: tuple(v.shape) for k, v in speed.trainer.model.state_dict().items()}
        speed.trainer.model.load_state_dict(convert_yolox(self.peer.model.state_dict(), shapes))
        return speed

    @torch.no_grad()
    def _make_confident(self, picture: np.ndarray) -> None:
        """Give the untrained model statistics, and about a thousand candidates in a picture."""
        model = self.peer.model.train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
        model(images, torch.zeros(1, 1, 5))
        head, found = model.eval().head, {}
        # Mean and deviation of the raw outputs of each kind; boxes of a few cells, since rare
        # outputs of an untrained model lie many deviations from the mean.
        wanted = [(head.obj_preds, -5.0, 1.2), (head.cls_preds, -3.0, 1.0)]
        wanted.append((head.reg_preds, 1.0, 0.02))
        predictors = [(one, *goal) for levels, *goal in wanted for one in levels]
        hooks = [
            one.register_forward_hook(lambda module, args, output: found.update({module: output}))
            for one, _, _ in predictors
        ]
        model(images)
        for hook in hooks:
            hook.remove()
        for one, mean, deviation in predictors:
            factor = deviation / found[one].std()
            one.weight.mul_(factor)
            one.bias.sub_(found[one].mean()).mul_(factor).add_(mean)

    def _time(
        self, functions: dict[str, Callable], picture: np.ndarray, calls: int
    ) -> dict[str, Any]:
        def repeatedly(detect: Callable) -> Callable[[], None]:
            return lambda: [detect(picture) for _ in range(calls)]

        rows = compare({n: repeatedly(f) for n, f in functions.items()}, self.rounds)
        for row in rows.values():
            for key in ("median_s", "fastest_s", "slowest_s"):
                row[key] /= calls
        return rows


REPARAMETERIZED = {
    "eager": "reparameterized",
    "channels_last": "reparameterized_channels_last",
    "bf16": "reparameterized_bf16",
}


def skip(loader: Iterable[Any], batches: int) -> Iterable[Any]:
    """What follows the first batches of a fresh pass; those that workers make in advance."""
    iterator = iter(loader)
    for _ in itertools.islice(iterator, batches):
        pass
    return iterator


def check_detections(
    theirs: torch.Tensor, ours: torch.Tensor, size: tuple[int, int], most: int
) -> dict[str, Any]:
    """Insist that our detections are the authors' best ones, cut to the picture.

    Args:
        theirs, ours: (N, 6) xyxy, score, class.
        size: (height, width) of the picture. The authors' boxes reach beyond it, or lie outside.
        most: detections that ours are limited to.
    """
    best = theirs[theirs[:, 4].argsort(descending=True, stable=True)][:most].clone()
    best[:, :4] = clip_boxes(best[:, :4], size)
    best = best[nonempty_boxes(best[:, :4])]
    np.testing.assert_allclose(ours[:, 4], best[:, 4], atol=1e-4)
    np.testing.assert_allclose(ours[:, :4], best[:, :4], atol=0.1)
    return {
        "authors_detections": len(theirs),
        "our_detections": len(ours),
        "largest_difference_of_scores": float((best[:, 4] - ours[:, 4]).abs().max()),
        "largest_difference_of_pixels": float((best[:, :4] - ours[:, :4]).abs().max()),
    }


def main() -> None:
    """Measure all of it, print ratios, write `results/yolox_peer.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, required=True, help="the authors' repository")
    parser.add_argument("--peer-packages", type=Path, help="packages that it wants")
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all"
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="of training (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="of training (%(default)s)")
    parser.add_argument("--pictures", type=int, default=64, help="made (%(default)s)")
    parser.add_argument("--name", default="yolox_peer", help="name of the file under results/")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    result: dict[str, Any] = {
        "case": {
            "sizes": SIZES, "batch_size": arguments.batch_size, "workers": arguments.workers,
            "objects": OBJECTS,
        },
    }  # fmt: skip
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), arguments.pictures)
        for size in arguments.models:
            measurement = Measurement(size, Path(folder), arguments)
            result[size] = {part: PARTS[part](measurement) for part in arguments.parts}
    result["seconds_in_all"] = time.perf_counter() - started
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    for size in arguments.models:
        print_rows(size, result[size])
    print(f"{result['seconds_in_all']:.0f} s in all; written to {file}")


PARTS: dict[str, Callable[[Measurement], dict[str, Any]]] = {
    "loader": Measurement.loader,
    "training": Measurement.training,
    "inference": Measurement.inference,
}


if __name__ == "__main__":
    main()
