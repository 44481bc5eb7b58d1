"""MixUp of a mosaic with a picture or with a second mosaic."""

from __future__ import annotations

import numpy as np
import pytest

from yolov7.data.augmentation import MixUp
from yolov7.data.mappers import Annotations, build_train_mapper
from yolov7.data.mappers.mixup import MosaicMixUp, PictureMixUp
from yolov7.data.mappers.mosaic_maker import Collage
from yolov7.data.mappers.partners import PartnerPool
from yolov7.utils.errors import ConfigError

SIZE = (40, 60)


def objects(*classes):
    boxes = np.array([[i, i, i + 10, i + 10] for i in classes], dtype=float).reshape(-1, 4)
    return Annotations(boxes, np.array(classes, dtype=np.int64), None)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


class FixedMaker:
    """Always the same second mosaic; notes which record it was asked to start from."""

    def __init__(self):
        self.pool = PartnerPool(records=["a", "b", "c"])
        self.second = Collage(noise(2), objects(3, 4), ["second.jpg", "third.jpg"])
        self.asked = []

    def make(self, record, size, rng):
        assert size == SIZE
        self.asked.append(record)
        return self.second


def test_pixels_are_mixed_by_the_drawn_weights_exactly():
    maker = FixedMaker()
    mixup = MosaicMixUp(maker=maker, probability=1.0)
    first = Collage(noise(1), objects(0, 1, 2), ["first.jpg"])
    kept = first.image.copy()
    weights = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert rng.random() < 1.0
        weight = mixup.draw_weight(rng)
        mixed = mixup(first, SIZE, np.random.default_rng(seed))
        exact = weight * first.image.astype(float) + (1 - weight) * maker.second.image
        # Rounded to the nearest level: never further away than one half (and float32's error).
        assert np.abs(mixed.image - exact).max() <= 0.5 + 1e-4
        weights.append(weight)
    assert len(set(weights)) == 20
    assert np.array_equal(first.image, kept)
    assert set(maker.asked) == {"a", "b", "c"}


def test_objects_and_files_of_both_are_there():
    mixup = MosaicMixUp(maker=FixedMaker(), probability=1.0)
    mixed = mixup(Collage(noise(1), objects(0, 1), ["first.jpg"]), SIZE, np.random.default_rng(0))
    assert mixed.annotations.classes.tolist() == [0, 1, 3, 4]
    assert mixed.annotations.boxes.tolist() == [*objects(0, 1, 3, 4).boxes.tolist()]
    assert mixed.sources == ["first.jpg", "second.jpg", "third.jpg"]


def test_the_weight_follows_beta_8_8():
    """Mean 1/2, variance 1 / (4 (2 * 8 + 1)) = 1/68; a third moment about the mean of 0."""
    rng = np.random.default_rng(0)
    mixup = MosaicMixUp(maker=FixedMaker(), probability=1.0)
    weights = np.array([mixup.draw_weight(rng) for _ in range(20000)])
    assert abs(weights.mean() - 0.5) < 0.004
    assert abs(weights.var() - 1 / 68) < 0.0006
    assert abs(((weights - 0.5) ** 3).mean()) < 1e-4
    assert 0 < weights.min() and weights.max() < 1


def test_the_probability_of_mixing_two_mosaics():
    maker = FixedMaker()
    mixup = MosaicMixUp(maker=maker, probability=0.15)
    first = Collage(noise(1), objects(), ["first.jpg"])  # mixed although it has no objects
    rng = np.random.default_rng(0)
    same = sum(mixup(first, SIZE, rng) is first for _ in range(2000))
    assert abs(len(maker.asked) / 2000 - 0.15) < 0.03
    assert same + len(maker.asked) == 2000


def test_beta_must_be_positive():
    with pytest.raises(ConfigError, match="MIXUP_BETA is 0"):
        MosaicMixUp(maker=FixedMaker(), probability=1.0, beta=0)


def test_the_config_names_the_kind(cfg, records):
    (step,) = build_train_mapper(cfg, records, seed=0).steps
    assert isinstance(step, PictureMixUp) and step.mixup.scale == (0.5, 1.5)
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list(
        ["MIXUP_WITH", "mosaic", "MIXUP_PROBABILITY", 0.15, "MIXUP_BETA", 4.0]
    )
    mapper = build_train_mapper(cfg, records, seed=0)
    (step,) = mapper.steps
    assert isinstance(step, MosaicMixUp) and step.maker is mapper.maker
    assert (step.probability, step.beta) == (0.15, 4.0)
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLE_MIXUP = False
    assert build_train_mapper(cfg, records, seed=0).steps == []


def test_a_mosaic_without_objects_is_not_mixed_with_a_picture(records):
    pool = PartnerPool(records=records)
    step = PictureMixUp(pool=pool, mixup=MixUp(probability=1.0))
    empty = Collage(noise(1), Annotations.empty(with_masks=False), ["first.png"])
    assert step(empty, SIZE, np.random.default_rng(0)) is empty
    full = Collage(noise(1), objects(1), ["first.png"])
    mixed = step(full, SIZE, np.random.default_rng(0))
    assert len(mixed.annotations) > 1 and len(mixed.sources) == 2
