"""Mosaics from a config: their numbers of pictures, and what of an object is kept."""

from __future__ import annotations

import numpy as np
import pytest

from yolov7.data.augmentation import (
    AffineDistribution,
    FourTileLayout,
    Mosaic,
    MosaicMixture,
    NineTileLayout,
    WarpTransform,
    matrix_about_origin,
    matrix_between_centers,
)
from yolov7.data.mappers import Annotations, build_train_mapper
from yolov7.data.mappers.mosaic_maker import MosaicMaker
from yolov7.data.mappers.partners import PartnerPool
from yolov7.utils.errors import ConfigError


def test_what_the_mosaic_s_edge_leaves_of_a_box_is_measured_before_the_warp(records):
    """A sliver of half a pixel, 60 high, would have a hull of 60 by 21 after turning by 20°."""
    mosaic = Mosaic(layout=FourTileLayout(), distribution=AffineDistribution())
    maker = MosaicMaker(
        pool=PartnerPool(records=records),
        mixture=MosaicMixture(mosaics=[mosaic], probabilities=[1]),
    )
    angle = np.deg2rad(20)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    objects = Annotations(
        np.array([[0.0, 0.0, 10.5, 60.0], [0.0, 0.0, 12.0, 60.0]]), np.array([0, 1]), None
    )
    warp = WarpTransform(
        matrix=matrix, source_size=(60, 60), size=(64, 96), crop=(10.0, 0.0, 60.0, 60.0)
    )
    assert maker.warp_visible(objects, warp).classes.tolist() == [1]


def maker_of(cfg, records):
    return MosaicMaker(cfg, pool=PartnerPool(records=records))


def test_one_number_of_pictures(cfg, records):
    (mosaic,) = maker_of(cfg, records).mixture.mosaics
    assert isinstance(mosaic.layout, FourTileLayout)
    assert mosaic.canvas_map is matrix_about_origin
    cfg.INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES = 9
    cfg.INPUT.MOSAIC_AND_MIXUP.WARP_ABOUT = "center"
    (mosaic,) = maker_of(cfg, records).mixture.mosaics
    assert isinstance(mosaic.layout, NineTileLayout)
    assert mosaic.canvas_map is matrix_between_centers


def test_a_mixture_of_numbers_takes_its_place(cfg, records):
    cfg.merge_from_list(["INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES_MIXTURE", "[[4, 0.8], [9, 0.2]]"])
    mixture = maker_of(cfg, records).mixture
    assert [type(mosaic.layout) for mosaic in mixture.mosaics] == [FourTileLayout, NineTileLayout]
    assert mixture.probabilities == [0.8, 0.2]


def test_a_mosaic_of_nine_shows_up_to_nine_files(cfg, records):
    """Shrunk to less than a half about the centre, the window of 128 by 192 is seen as a whole."""
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list(
        ["NUM_IMAGES", 9, "WARP_ABOUT", "center", "SCALE", [0.45, 0.45], "TRANSLATE", 0.0]
    )
    maker = maker_of(cfg, records[:4])
    collages = [maker.make(records[0], (64, 96), np.random.default_rng(seed)) for seed in range(40)]
    counts = [len(collage.sources) for collage in collages]
    # The canvas is one and a half windows wide: tiles of the far side may be outside.
    assert max(counts) == 9 and min(counts) >= 4
    assert all(collage.sources[0] == records[0]["file_name"] for collage in collages)
    assert max(len(collage.annotations) for collage in collages) > 9


def test_other_numbers_of_pictures_are_refused(cfg, records):
    cfg.INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES = 5
    with pytest.raises(ConfigError, match="NUM_IMAGES is 5; there are mosaics of 4 and 9 pict"):
        build_train_mapper(cfg, records, seed=0)


@pytest.mark.parametrize(
    ("mixture", "problem"),
    [
        ([[4, 0.8], [6, 0.2]], "there are mosaics of 4 and 9"),
        ([4, 9], "must be pairs"),
        ([[4, 0.5], [9, 0.2]], "add up to 1"),
        ([[4, 1.5], [9, -0.5]], "not negative"),
        ([[4, "0.5"], [9, 0.5]], "must be numbers"),
    ],
)
def test_bad_mixtures_are_refused(cfg, records, mixture, problem):
    cfg.INPUT.MOSAIC_AND_MIXUP.NUM_IMAGES_MIXTURE = mixture
    with pytest.raises(ConfigError, match=rf"NUM_IMAGES_MIXTURE is \[.*{problem}"):
        build_train_mapper(cfg, records, seed=0)


@pytest.mark.parametrize("key", ["WARP_ABOUT", "MIXUP_WITH"])
def test_unknown_names_are_refused(cfg, records, key):
    cfg.INPUT.MOSAIC_AND_MIXUP[key] = "centre"
    with pytest.raises(ConfigError, match=rf"MOSAIC_AND_MIXUP\.{key}: there is no 'centre'"):
        build_train_mapper(cfg, records, seed=0)
