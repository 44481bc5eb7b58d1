"""Batches for training and evaluation, built from a config."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset

from yolov7.d2 import CfgNode, get_rank, get_world_size
from yolov7.data.catalog import check_class_count, load_records, register_from_config
from yolov7.data.dataset import InferenceDataset, Mapper, SharedRecords, TrainingDataset
from yolov7.data.formats import Record
from yolov7.data.formats.record import without_masks
from yolov7.data.mappers.build import (
    build_test_mapper,
    build_train_mapper,
    train_mapper_reads_masks,
)
from yolov7.data.sample_cost import SampleClock, SampleCost
from yolov7.data.samplers import (
    EpochOrder,
    InferenceSampler,
    MultiScaleSchedule,
    RepeatFactorOrder,
    ShuffledOrder,
    TrainingBatchSampler,
    repeat_factors,
)
from yolov7.utils.errors import ConfigError, UserError
from yolov7.utils.names import suggest

logger = logging.getLogger(__name__)

Sample = dict[str, Any]


class SampleLoader(DataLoader):
    """A DataLoader of lists of samples whose user errors arrive as they were raised.

    PyTorch puts a worker's stack trace into the message of its exception. A `UserError` is
    instead carried to the main process as a value, and raised there with its own message.

    Args:
        dataset: a map-style data set of samples.
        options: the arguments of `torch.utils.data.DataLoader`.

    Attributes:
        cost: what making the samples has cost so far, wherever it was done.
    """

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(
            _TimedSamples(dataset),
            collate_fn=_keep_list,
            worker_init_fn=_limit_threads,
            **options,
        )
        self.cost = SampleCost()

    def __iter__(self) -> Iterator[list[Sample]]:
        for batch in super().__iter__():
            samples = []
            for sample, cost in batch:
                if isinstance(sample, UserError):
                    raise sample
                samples.append(sample)
                self.cost += cost
            yield samples


def training_records(cfg: CfgNode) -> list[Record]:
    """Load the records that a config trains on.

    Args:
        cfg: reads DATASETS, DATALOADER.FILTER_EMPTY_ANNOTATIONS and MODEL.YOLO.CLASSES.

    Raises:
        ConfigError: the data sets have another number of classes than the model.
        DatasetError: see `load_records`.
    """
    register_from_config(cfg)
    records = load_records(
        cfg.DATASETS.TRAIN,
        training=True,
        filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
        class_names=cfg.DATASETS.CLASS_NAMES,
    )
    for name in cfg.DATASETS.TRAIN:
        check_class_count(name, cfg.MODEL.YOLO.CLASSES)
    return records


def build_train_loader(
    cfg: CfgNode,
    *,
    seed: int,
    start_iter: int = 0,
    records: Sequence[Record] | None = None,
    mapper: Mapper | None = None,
) -> SampleLoader:
    """Build this process's loader of training batches, from `start_iter` to `SOLVER.MAX_ITER`.

    The batches depend on the config, the seed and the iteration only: not on the number of
    workers, and not on where training was resumed.

    Args:
        cfg: reads DATASETS, DATALOADER, INPUT.{INPUT_SIZE, MULTI_SCALE}, SOLVER.{IMS_PER_BATCH,
            MAX_ITER}, MODEL.{DEVICE, MASK_ON, YOLO.CLASSES}, and what the mapper reads.
        seed: the run's seed, not negative, the same in all processes.
        start_iter: iteration of the first batch.
        records: what `training_records(cfg)` gave, if it was called before.
        mapper: used instead of the config's.

    Returns:
        A loader whose every item is a list of IMS_PER_BATCH / world size samples; its length is
        the number of iterations.

    Raises:
        ConfigError: a key has an impossible value, or the class counts differ.
        DatasetError: see `load_records`.
    """
    world_size = get_world_size()
    batch_size = cfg.SOLVER.IMS_PER_BATCH
    if batch_size < 1 or batch_size % world_size:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH is {batch_size}; it is the batch of all {world_size} "
            f"processes together and must be a multiple of {world_size}, at least that."
        )
    skip_bad_images = _choose(
        {"error": False, "skip": True}, cfg.DATALOADER.ON_BAD_IMAGE, "DATALOADER.ON_BAD_IMAGE"
    )
    if records is None:
        records = training_records(cfg)
    order = _build_order(cfg, records, seed)
    logger.info(
        "%d training images, %d samples an epoch, %.1f epochs in %d iterations.",
        len(records), order.length, cfg.SOLVER.MAX_ITER * batch_size / order.length,
        cfg.SOLVER.MAX_ITER,
    )  # fmt: skip
    keeps_masks = train_mapper_reads_masks(cfg)
    shared = SharedRecords(records if keeps_masks else map(without_masks, records))
    if mapper is None:
        mapper = build_train_mapper(cfg, shared, seed=seed)
    return SampleLoader(
        TrainingDataset(shared, mapper, seed=seed, skip_bad_images=skip_bad_images),
        batch_sampler=TrainingBatchSampler(
            order,
            batch_size,
            rank=get_rank(),
            world_size=world_size,
            start_iter=start_iter,
            max_iter=cfg.SOLVER.MAX_ITER,
            size_schedule=_build_size_schedule(cfg, seed),
        ),
        # Creating an iterator draws a number: not from the generator that a checkpoint restores.
        generator=torch.Generator().manual_seed(seed),
        **_common_options(cfg),
    )


def build_test_loader(
    cfg: CfgNode, dataset_name: str, *, mapper: Mapper | None = None
) -> SampleLoader:
    """Build this process's loader of a data set to evaluate; every image comes exactly once.

    Each process has a contiguous share, in batches of at most TEST.IMS_PER_BATCH / world size.

    Args:
        cfg: reads DATASETS.{REGISTER, CLASS_NAMES}, DATALOADER.NUM_WORKERS, TEST.IMS_PER_BATCH,
            MODEL.{DEVICE, MASK_ON, YOLO.CLASSES}, and what the mapper reads.
        dataset_name: a registered name.
        mapper: used instead of the config's; with MODEL.MASK_ON its records have masks.

    Raises:
        ConfigError: a key has an impossible value, or the class counts differ.
        DatasetError: see `load_records`.
    """
    if cfg.TEST.IMS_PER_BATCH < 1:
        raise ConfigError(f"TEST.IMS_PER_BATCH is {cfg.TEST.IMS_PER_BATCH}; it must be at least 1.")
    register_from_config(cfg)
    records = load_records([dataset_name], training=False, class_names=cfg.DATASETS.CLASS_NAMES)
    # Inference looks at no object; validation losses do, by a mapper of their own.
    keeps_masks = mapper is not None and cfg.MODEL.MASK_ON
    shared = SharedRecords(records if keeps_masks else map(without_masks, records))
    check_class_count(dataset_name, cfg.MODEL.YOLO.CLASSES)
    world_size = get_world_size()
    sampler = InferenceSampler(len(shared), rank=get_rank(), world_size=world_size)
    return SampleLoader(
        InferenceDataset(shared, build_test_mapper(cfg) if mapper is None else mapper),
        batch_sampler=BatchSampler(
            sampler, max(1, cfg.TEST.IMS_PER_BATCH // world_size), drop_last=False
        ),
        generator=torch.Generator().manual_seed(0),
        **_common_options(cfg),
    )


def _shuffled(cfg: CfgNode, records: Sequence[Record], seed: int) -> EpochOrder:
    return ShuffledOrder(len(records), seed=seed)


def _repeat_factor(cfg: CfgNode, records: Sequence[Record], seed: int) -> EpochOrder:
    factors = repeat_factors(
        records,
        threshold=cfg.DATALOADER.REPEAT_THRESHOLD,
        square_root=cfg.DATALOADER.REPEAT_SQRT,
    )
    return RepeatFactorOrder(factors, seed=seed)


_ORDERS: dict[str, Callable[[CfgNode, Sequence[Record], int], EpochOrder]] = {
    "TrainingSampler": _shuffled,
    "RepeatFactorTrainingSampler": _repeat_factor,
}


def _build_order(cfg: CfgNode, records: Sequence[Record], seed: int) -> EpochOrder:
    build = _choose(_ORDERS, cfg.DATALOADER.SAMPLER_TRAIN, "DATALOADER.SAMPLER_TRAIN")
    return build(cfg, records, seed)


def _build_size_schedule(cfg: CfgNode, seed: int) -> MultiScaleSchedule | None:
    scales = cfg.INPUT.MULTI_SCALE
    if not scales.ENABLED:
        return None
    if not (0 < scales.STEP <= scales.MIN_SIZE <= scales.MAX_SIZE and scales.PERIOD > 0):
        raise ConfigError(
            "INPUT.MULTI_SCALE: expected 0 < STEP <= MIN_SIZE <= MAX_SIZE and PERIOD > 0, got "
            f"STEP {scales.STEP}, MIN_SIZE {scales.MIN_SIZE}, MAX_SIZE {scales.MAX_SIZE}, "
            f"PERIOD {scales.PERIOD}."
        )
    return MultiScaleSchedule(
        input_size=tuple(cfg.INPUT.INPUT_SIZE),
        min_size=scales.MIN_SIZE,
        max_size=scales.MAX_SIZE,
        step=scales.STEP,
        period=scales.PERIOD,
        seed=seed,
    )


def _common_options(cfg: CfgNode) -> dict[str, Any]:
    return {
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
        # Pinned memory speeds up copies to a CUDA device and exists for nothing else.
        "pin_memory": cfg.MODEL.DEVICE.startswith("cuda") and torch.cuda.is_available(),
    }


def _choose(table: dict[str, Any], name: str, key: str) -> Any:
    if name not in table:
        raise ConfigError(f"{key} is '{name}', which is unknown.{suggest(name, table)}")
    return table[name]


class _TimedSamples(Dataset):
    """Samples with their cost. A sample's `UserError` is returned in its place, not raised."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: Any) -> tuple[Sample | UserError, SampleCost]:
        clock = SampleClock()
        try:
            sample = self._dataset[key]
        except UserError as error:
            sample = error
        return sample, clock.cost()


def _keep_list(batch: list[Any]) -> list[Any]:
    return batch


def _limit_threads(worker: int) -> None:
    """Let each worker use one thread: they are the parallelism."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
