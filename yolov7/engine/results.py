"""Results files and the data sets that they are of: what the tools for results share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from yolov7.config import load_config
from yolov7.d2 import MetadataCatalog
from yolov7.data import register_from_config
from yolov7.evaluation import (
    ConfusionThresholds,
    Evaluator,
    ImageDetections,
    ResultsFile,
    build_evaluator,
)
from yolov7.utils.errors import ConfigError, UserError


@dataclass(frozen=True)
class OpenedResults:
    """A results file with the evaluator of its data set.

    Attributes:
        dataset_name: the name under which the data set is registered.
        evaluator: chosen by the data set; it holds no predictions yet.
        images: the detections of each image of the data set.
    """

    dataset_name: str
    evaluator: Evaluator
    images: list[ImageDetections]


def add_results_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments that `open_results` reads."""
    parser.add_argument("results", metavar="RESULTS", help="json file in COCO's results format")
    add_dataset_arguments(parser)


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments that `dataset_of_arguments` reads."""
    source = parser.add_argument_group("the data set (one of these)")
    source.add_argument(
        "--dataset", metavar="NAME", help="a built-in one, or one that --config-file registers"
    )
    source.add_argument(
        "--config-file",
        metavar="FILE",
        help="a config; its DATASETS.TEST, or --dataset",
    )
    source.add_argument("--annotations", metavar="FILE", help="a json file in COCO's format")
    source.add_argument(
        "--images", metavar="DIR", help="with --annotations: the folder of the images"
    )


def open_results(
    arguments: argparse.Namespace,
    *,
    output_dir: str | None = None,
    tasks: tuple[str, ...] = (),
    voc_metric: str = "auto",
    thresholds: ConfusionThresholds,
) -> OpenedResults:
    """Read a results file and find the data set that it is of.

    Args:
        arguments: those of `add_results_arguments`.
        output_dir: where the evaluator writes curves and confusion matrix; None writes nothing.
        tasks: what to compare, `"bbox"` or `"segm"`; by default all that the file holds.
        voc_metric: see `VOCEvaluator`.
        thresholds: what counts in the confusion matrix.

    Raises:
        UserError: the arguments do not name one data set, or the files do not fit; see
            `ResultsFile`.
    """
    name = dataset_of_arguments(arguments)
    results = ResultsFile.read(arguments.results)
    if "segm" in tasks and not results.has_masks:
        raise UserError(f"{arguments.results} has no masks ('segmentation') to evaluate.")
    evaluator = build_evaluator(
        name,
        output_dir=output_dir,
        tasks=tasks or (("bbox", "segm") if results.has_masks else ("bbox",)),
        voc_metric=voc_metric,
        confusion_thresholds=thresholds,
        write_detections=False,
    )
    return OpenedResults(name, evaluator, results.detections(evaluator.dataset))


def dataset_of_arguments(arguments: argparse.Namespace) -> str:
    """The name of the data set that the arguments of `add_dataset_arguments` name.

    Raises:
        UserError: none or several are named.
    """
    return find_dataset(
        config_file=arguments.config_file,
        dataset=arguments.dataset,
        annotations=arguments.annotations,
        images=arguments.images,
    )


def find_dataset(
    *,
    config_file: str | None = None,
    dataset: str | None = None,
    annotations: str | None = None,
    images: str | None = None,
) -> str:
    """Register the data set that a user names in one of several ways, and give its name.

    Args:
        config_file: a config, whose `DATASETS.TEST` it is unless `dataset` is given.
        dataset: the name of a data set that is built in or registered by the config.
        annotations: an annotation file in COCO's format, instead of both.
        images: the folder of its images, where they are needed.

    Raises:
        UserError: none or several are named.
    """
    if annotations is not None:
        if config_file is not None or dataset is not None:
            raise UserError("--annotations goes without --config-file and --dataset.")
        return _register(annotations, images)
    if images is not None:
        raise UserError("--images goes with --annotations only.")
    if config_file is None:
        if dataset is None:
            raise UserError(
                "Which data set are these the results of? Give --dataset NAME, --config-file FILE "
                "or --annotations FILE."
            )
        return dataset
    cfg = load_config(config_file)
    register_from_config(cfg)
    if dataset is not None:
        return dataset
    if len(cfg.DATASETS.TEST) != 1:
        named = ", ".join(cfg.DATASETS.TEST) or "none"
        raise ConfigError(
            f"{config_file}: DATASETS.TEST should name one data set, but names {named}. Choose one "
            "with --dataset."
        )
    return cfg.DATASETS.TEST[0]


def _register(annotations: str, images: str | None) -> str:
    """Register an annotation file under its own path."""
    if images is None:
        MetadataCatalog.get(annotations).set(json_file=annotations, evaluator_type="coco")
        return annotations
    cfg = load_config(None)
    cfg.DATASETS.REGISTER = [
        {"NAME": annotations, "FORMAT": "coco", "ANNOTATIONS": annotations, "IMAGES": images}
    ]
    register_from_config(cfg)
    return annotations
