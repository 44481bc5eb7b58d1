"""Mosaic in one warp a tile, against pasting on a double canvas and warping that."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
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
from yolov7.data.augmentation.warp import translation

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
SIZES = [(48, 64), (128, 100), (180, 240), (72, 96)]
SIZE = (96, 128)
NINE_SIZES = [*SIZES, (40, 90), (200, 50), (96, 128), (33, 44), (64, 64)]
KINDS = {
    "four": (FourTileLayout, matrix_about_origin),
    "four about the centre": (FourTileLayout, matrix_between_centers),
    "nine": (NineTileLayout, matrix_about_origin),
    "nine about the centre": (NineTileLayout, matrix_between_centers),
}


@pytest.fixture(scope="module")
def two_step_mosaic():
    """The literal way, as the benchmark times it."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("bm_mosaic", BENCHMARKS / "bm_mosaic.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module.two_step_mosaic


def smooth_pictures(sizes=SIZES):
    rng = np.random.default_rng(0)
    return [
        cv2.resize(
            rng.integers(0, 256, (3, 4, 3), dtype=np.uint8),
            size[::-1],
            interpolation=cv2.INTER_CUBIC,
        )
        for size in sizes
    ]


def draw(seed, scale, degrees=10.0, sizes=SIZES, size=SIZE, kind=KINDS["four"]):
    """The transforms of a mosaic, and what the literal way needs of the same draws."""
    layout, canvas_map = kind
    distribution = AffineDistribution(degrees=degrees, translate=0.1, scale=scale, shear=2)
    mosaic = Mosaic(layout=layout(), distribution=distribution, canvas_map=canvas_map)
    transforms = mosaic.get_transforms(sizes, size, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    placements = mosaic.layout.place(sizes, size, rng)
    canvas_size = mosaic.layout.canvas_size(size)
    matrix = canvas_map(distribution.draw(rng), source_size=canvas_size, size=size)
    return mosaic, transforms, placements, canvas_size, matrix


def rim_of(transform, width=5, margin=10):
    """(H, W) bool: pixels within `width` of the drawn region's rim, even if that is outside."""
    height, columns = transform.size
    larger = WarpTransform(
        matrix=translation(margin, margin) @ transform.matrix,
        source_size=transform.source_size,
        size=(height + 2 * margin, columns + 2 * margin),
        crop=transform.crop,
    )
    drawn = larger.apply_segmentation(np.ones(transform.source_size, np.uint8))
    kernel = np.ones((2 * width + 1, 2 * width + 1))
    rim = cv2.morphologyEx(drawn, cv2.MORPH_GRADIENT, kernel) > 0
    return rim[margin:-margin, margin:-margin]


def sizes_of(kind):
    return NINE_SIZES if kind.startswith("nine") else SIZES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_boxes_equal_those_of_the_two_steps(seed, kind):
    sizes = sizes_of(kind)
    _, transforms, placements, (canvas_height, canvas_width), matrix = draw(
        seed, (0.1, 2.0), sizes=sizes, kind=KINDS[kind]
    )
    rng = np.random.default_rng(seed)
    for transform, place, (height, width) in zip(transforms, placements, sizes, strict=True):
        corners = np.sort(rng.uniform(0, [width, height], (20, 2, 2)), axis=1)
        for x0, y0, x1, y1 in corners.reshape(-1, 4):
            # Step one: onto the canvas, cut by it. Step two: hull of the four warped corners.
            xs = np.clip([v * place.width / width + place.left for v in (x0, x1)], 0, canvas_width)
            ys = np.clip(
                [v * place.height / height + place.top for v in (y0, y1)], 0, canvas_height
            )
            if xs[1] - xs[0] < 1e-6 or ys[1] - ys[0] < 1e-6:
                continue
            warped = [matrix @ [x, y, 1] for x in xs for y in ys]
            expected = [*np.min(warped, axis=0)[:2], *np.max(warped, axis=0)[:2]]
            cut = np.clip([x0, y0, x1, y1], transform.crop[:2] * 2, transform.crop[2:] * 2)
            np.testing.assert_allclose(transform.apply_box(cut[None])[0], expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["four", "nine about the centre"])
@pytest.mark.parametrize("scale", [(0.5, 0.6), (0.9, 1.1), (1.8, 2.0)])
def test_pixels_equal_those_of_the_two_steps_inside_of_the_tiles(scale, kind, two_step_mosaic):
    images = smooth_pictures(sizes_of(kind))
    compared = 0
    for seed in range(8):
        mosaic, transforms, placements, canvas_size, matrix = draw(
            seed, scale, sizes=sizes_of(kind), kind=KINDS[kind]
        )
        expected = two_step_mosaic(images, placements, canvas_size, matrix, SIZE)
        ours = mosaic.compose(images, transforms, SIZE)
        near_rim = np.zeros(SIZE, bool)
        for transform in transforms:
            near_rim |= rim_of(transform)
        difference = np.abs(ours.astype(int) - expected).max(axis=2)
        assert difference[~near_rim].max(initial=0) <= 6
        # Also where there is no tile, and never far from the same picture at the rims.
        assert difference.mean() < 6
        compared += (~near_rim).sum()
    assert compared > 8 * 0.4 * SIZE[0] * SIZE[1]


@pytest.mark.parametrize("degrees", [0.0, 10.0])
def test_there_is_no_gap_between_tiles(degrees, two_step_mosaic):
    sizes = [(40, 40), (100, 100), (96, 96), (250, 250)]
    images = [np.full((*size, 3), 250, np.uint8) for size in sizes]
    for seed in range(20):
        mosaic, transforms, *_ = draw(seed, (0.3, 1.5), degrees, sizes, (96, 96))
        drawn = mosaic.compose(images, transforms, (96, 96))[..., 0] == 250
        # All four tiles are square and meet at the centre, so there is no hole in their union.
        outline, _ = cv2.findContours(
            drawn.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        filled = np.zeros((96, 96), np.uint8)
        cv2.drawContours(filled, outline, -1, 1, cv2.FILLED)
        assert np.array_equal(filled > 0, drawn)
        assert len(outline) <= 1


def test_a_tile_is_cut_by_the_canvas_of_the_layout():
    _, transforms, placements, _, _ = draw(1, (1.0, 1.0), sizes=SIZES)
    for transform, place, (height, width) in zip(transforms, placements, SIZES, strict=True):
        x0, y0, x1, y1 = transform.crop
        assert x0 == max(0, -place.left) * width / place.width
        assert y0 == max(0, -place.top) * height / place.height
        assert x1 == pytest.approx(min(width, (256 - place.left) * width / place.width))
        assert y1 == pytest.approx(min(height, (192 - place.top) * height / place.height))


def test_no_visible_tile_leaves_the_border_colour():
    mosaic, *_ = draw(0, (1.0, 1.0))
    assert (mosaic.compose([], [], (4, 6)) == np.full((4, 6, 3), 114)).all()


def test_a_mixture_draws_its_kinds_with_their_probabilities():
    four, nine = (
        Mosaic(layout=layout(), distribution=AffineDistribution())
        for layout in (FourTileLayout, NineTileLayout)
    )
    mixture = MosaicMixture(mosaics=[four, nine], probabilities=[0.8, 0.2])
    rng = np.random.default_rng(0)
    drawn = [mixture.draw(rng) for _ in range(4000)]
    assert set(map(id, drawn)) == {id(four), id(nine)}
    assert abs(sum(mosaic is nine for mosaic in drawn) / 4000 - 0.2) < 0.02


def test_a_single_kind_needs_no_draw():
    mosaic = Mosaic(layout=FourTileLayout(), distribution=AffineDistribution())
    rng = np.random.default_rng(0)
    assert MosaicMixture(mosaics=[mosaic], probabilities=[1]).draw(rng) is mosaic
    assert rng.random() == np.random.default_rng(0).random()
