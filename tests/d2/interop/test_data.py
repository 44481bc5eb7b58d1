"""Our records and mappers in detectron2's loaders, its mapper on our records."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolov7.d2 import BitMasks, Boxes
from yolov7.data import load_records
from yolov7.data.mappers import build_train_mapper
from yolov7.modeling import build_detector

pytestmark = pytest.mark.detectron2


@pytest.mark.parametrize("mosaic", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_our_mapper_in_its_loader(detectron2, make_config, mosaic, workers):
    cfg = make_config("INPUT.MOSAIC_AND_MIXUP.ENABLED", mosaic, "MODEL.MASK_ON", True)
    records = load_records(cfg.DATASETS.TRAIN, training=True)
    loader = detectron2.data.build_detection_train_loader(
        cfg, dataset=records, mapper=build_train_mapper(cfg, records, seed=0), num_workers=workers
    )
    batches = iter(loader)
    samples = [sample for _ in range(8) for sample in next(batches)]
    for sample in samples:
        assert sample["image"].dtype == torch.uint8 and sample["image"].shape == (3, 64, 96)
        assert type(sample["instances"].gt_boxes) is Boxes is detectron2.structures.Boxes
        assert type(sample["instances"].gt_masks) is BitMasks
    assert any(len(sample["instances"]) for sample in samples)
    assert mosaic == any(len(set(sample["sources"])) > 1 for sample in samples)
    # Neither workers nor repeats of a picture give the same sample twice.
    assert len({sample["image"].numpy().tobytes() for sample in samples}) == len(samples)


def test_its_mapper_on_our_records_feeds_our_detector(detectron2, make_config):
    cfg = make_config()
    loader = detectron2.data.build_detection_train_loader(cfg)
    batch = next(iter(loader))
    losses = build_detector(cfg).train()(batch)
    assert all(torch.isfinite(loss) for loss in losses.values())
    test = detectron2.data.build_detection_test_loader(cfg, "interop_val")
    assert [sample["image_id"] for batch in test for sample in batch] == list(range(6))


def test_its_augmentations_in_our_mapper(detectron2, make_config):
    """They draw from global generators, which the sample's own generator seeds."""
    transforms = detectron2.data.transforms
    cfg = make_config()
    records = load_records(cfg.DATASETS.TRAIN, training=True)
    mapper = build_train_mapper(cfg, records, seed=0)
    mapper.augmentations = [
        transforms.Resize((64, 96)),
        transforms.RandomFlip(0.5),
        transforms.RandomBrightness(0.5, 1.5),
    ]
    first, again, other = (
        mapper(records[3], np.random.default_rng(seed))["image"] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
