#!/usr/bin/env python
"""Draw what training sees: images after augmentation, with their boxes, masks and class names."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from yolov7.config import load_config
from yolov7.d2 import CfgNode
from yolov7.data import get_metadata, load_records, read_record_image, register_from_config
from yolov7.data.loader import build_train_loader
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import ConfigError, UserError
from yolov7.visualization import (
    Visualizer,
    image_grid,
    plot_label_statistics,
    write_picture,
)

EPILOG = """\
sources:
  train        the samples themselves, drawn from the loader that training uses. A sample depends on
               the seed, the iteration and its place in the batch only, so these are the very images
               of that iteration; look at a late one to see the last phase without Mosaic.
  annotations  the images and labels of DATASETS.TRAIN as they lie on the disk, evenly spread over
               the data set, and labels.png: classes, box sizes, box centres, objects an image.

Written to --output: one picture a sample (ITERATION_PLACE.png, or NUMBER.png for annotations) and
grid.png, all together. Small pictures are enlarged by a whole factor. Masks are shown where the
sample has them: MODEL.MASK_ON True.

examples:
  python tools/visualize_data.py --config-file configs/digits/yolox_nano.yaml --output out/data
  python tools/visualize_data.py --config-file configs/digits/yolox_nano.yaml --output out/late \\
      --iteration 1900 --num 32 MODEL.MASK_ON True
  python tools/visualize_data.py --config-file configs/bccd/yolox_s.yaml --output out/labels \\
      --source annotations --num 9
"""
MIN_SIDE = 320  # pixels; names are readable on pictures of this size


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--num", type=int, default=16, help="number of pictures (%(default)s)")
    parser.add_argument(
        "--source", choices=("train", "annotations"), default="train", help="see below (train)"
    )
    parser.add_argument(
        "--iteration", type=int, default=0, help="first iteration to show, from 0 (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, help="the run's seed, as its log says (SEED; 0 where that is negative)"
    )
    add_debug_argument(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of the config"
    )
    return parser.parse_args()


def training_pictures(
    cfg: CfgNode, visualizer: Visualizer, *, iteration: int, num: int, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, picture) of the samples of training, from an iteration on."""
    if not 0 <= iteration < cfg.SOLVER.MAX_ITER:
        raise ConfigError(
            f"--iteration is {iteration}; training has the iterations 0 to "
            f"{cfg.SOLVER.MAX_ITER - 1} (SOLVER.MAX_ITER)."
        )
    batches = iter(build_train_loader(cfg, seed=seed, start_iter=iteration))
    for offset in range(math.ceil(num / cfg.SOLVER.IMS_PER_BATCH)):
        if iteration + offset >= cfg.SOLVER.MAX_ITER:
            return
        for place, sample in enumerate(next(batches)[: num - offset * cfg.SOLVER.IMS_PER_BATCH]):
            name = f"{iteration + offset:07d}_{place:03d}"
            sources = ", ".join(Path(file).name for file in sample["sources"])
            print(f"{name}.png  {len(sample['instances']):3d} objects  from {sources}")
            yield name, visualizer.draw_sample(sample, cfg.INPUT.FORMAT)


def annotation_pictures(
    cfg: CfgNode, visualizer: Visualizer, *, num: int, output: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, picture) of records evenly spread over the data set; plot its statistics."""
    records = load_records(cfg.DATASETS.TRAIN, training=False, class_names=cfg.DATASETS.CLASS_NAMES)
    plot_label_statistics(records, visualizer.class_names, output / "labels.png")
    for index in np.linspace(0, len(records) - 1, min(num, len(records))).astype(int):
        record, name = records[index], f"{index:07d}"
        print(f"{name}.png  {len(record['annotations']):3d} objects  from {record['file_name']}")
        yield name, visualizer.draw_record(read_record_image(record), record)


def main() -> None:
    arguments = parse_arguments()
    if arguments.num < 1:
        raise UserError(f"--num must be at least 1, got {arguments.num}.")
    cfg = load_config(arguments.config_file, arguments.opts)
    cfg.DATALOADER.NUM_WORKERS = 0  # samples do not depend on it, and a few need no workers
    register_from_config(cfg)
    if not cfg.DATASETS.TRAIN:
        raise ConfigError("DATASETS.TRAIN names no data set, so there is nothing to show.")
    names = get_metadata(cfg.DATASETS.TRAIN[0]).thing_classes
    visualizer = Visualizer(names, min_side=MIN_SIDE)
    output = Path(arguments.output)
    if arguments.source == "train":
        seed = max(cfg.SEED, 0) if arguments.seed is None else arguments.seed
        pictures = training_pictures(
            cfg, visualizer, iteration=arguments.iteration, num=arguments.num, seed=seed
        )
    else:
        pictures = annotation_pictures(cfg, visualizer, num=arguments.num, output=output)
    drawn = []
    for name, picture in pictures:
        write_picture(output / f"{name}.png", picture)
        drawn.append(picture)
    write_picture(output / "grid.png", image_grid(drawn))
    print(f"{len(drawn)} pictures and grid.png in {output}")


if __name__ == "__main__":
    run_command(main)
