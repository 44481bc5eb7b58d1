import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.analysis.anchors import (
    by_area,
    cluster_sizes,
    compute_anchors,
    measure_anchors,
    refine_anchors,
    shape_iou,
    size_histogram,
    training_sizes,
    weighted_mean,
    weighted_median,
)
from yolov7.d2 import BoxMode
from yolov7.utils.errors import UserError


def two_groups(rng, *, count=200):
    centers = np.array([[20.0, 40.0], [200.0, 100.0]])
    return np.concatenate([c * rng.uniform(0.9, 1.1, (count, 2)) for c in centers])


def test_sizes_at_training_resolution():
    xywh = {"bbox": [5, 5, 30, 60], "bbox_mode": BoxMode.XYWH_ABS}
    crowd = {**xywh, "iscrowd": 1}
    flat = {"bbox": [0, 0, 10, 0], "bbox_mode": BoxMode.XYXY_ABS}
    xyxy = {"bbox": [10, 20, 20, 60], "bbox_mode": BoxMode.XYXY_ABS}
    records = [
        {"height": 480, "width": 640, "annotations": [xywh, crowd, flat]},
        {"height": 100, "width": 50, "annotations": [xyxy]},
    ]
    # Into 320 x 320: the first is halved (640 -> 320), the second enlarged 3.2 times.
    np.testing.assert_allclose(training_sizes(records, (320, 320)), [[15, 30], [32, 128]])
    assert training_sizes([], (320, 320)).shape == (0, 2)


def test_shape_iou_by_hand():
    # 4x2 with 2x4: common 2x2, union 8 + 8 - 4; with itself 1; with 8x4: 8 / 32.
    ious = shape_iou(np.array([[4.0, 2.0]]), np.array([[2.0, 4.0], [4.0, 2.0], [8.0, 4.0]]))
    np.testing.assert_allclose(ious, [[4 / 12, 1.0, 0.25]])


def test_measures_by_hand():
    sizes = np.array([[10.0, 20.0], [10.0, 10.0], [400.0, 10.0]])
    fit = measure_anchors(sizes, np.array([[10.0, 20.0]]))
    # IoUs 1, 1/2, 100/(4000 + 200 - 100); side ratios 1, 1/2 and 1/40, which is beyond 4.
    assert fit.mean_best_iou == pytest.approx((1 + 0.5 + 100 / 4100) / 3)
    assert fit.recall == pytest.approx(2 / 3)
    assert fit.fitness == pytest.approx(1.5 / 3)
    for width, recall in ((39.0, 1), (41.0, 0)):
        assert measure_anchors(np.array([[width, 20.0]]), np.array([[10.0, 20.0]])).recall == recall


def test_histogram_keeps_counts_and_means():
    sizes = np.array([[16.0, 16.0], [16.2, 16.4], [64.0, 8.0]])
    joined, weights = size_histogram(sizes)
    order = joined[:, 0].argsort()
    np.testing.assert_allclose(joined[order], [[16.1, 16.2], [64.0, 8.0]])
    np.testing.assert_array_equal(weights[order], [2, 1])


def test_centers_by_hand():
    values, weights = np.array([[1.0, 9.0], [2.0, 1.0], [9.0, 5.0]]), np.array([1.0, 1.0, 2.0])
    np.testing.assert_allclose(weighted_mean(values, weights), [21 / 4, 20 / 4])
    np.testing.assert_allclose(weighted_median(values, weights), [2.0, 5.0])


@given(st.lists(st.floats(1, 100), min_size=1, max_size=9), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_median_with_weights_is_that_of_repeated_values(numbers, seed):
    repeats = np.random.default_rng(seed).integers(1, 4, len(numbers))
    repeated = np.sort(np.repeat(numbers, repeats))
    values = np.array(numbers)[:, None].repeat(2, axis=1)
    expected = repeated[(len(repeated) - 1) // 2]
    np.testing.assert_array_equal(weighted_median(values, repeats.astype(float)), [expected] * 2)


@pytest.mark.parametrize("center", [weighted_mean, weighted_median])
def test_two_groups_are_found(center):
    rng = np.random.default_rng(0)
    sizes = two_groups(rng)
    found = by_area(cluster_sizes(sizes, np.ones(len(sizes)), 2, rng=rng, center=center))
    np.testing.assert_allclose(found, [[20, 40], [200, 100]], rtol=0.02)


@pytest.mark.parametrize(("weights", "side"), [([3.0, 1.0, 1.0], 10.0), ([1.0, 3.0, 1.0], 12.0)])
def test_weights_count(weights, side):
    # The mean of the first two would be 10.5 or 11.5, whose mean IoU is lower.
    sizes, rng = np.array([[10.0, 10.0], [12.0, 12.0], [90.0, 90.0]]), np.random.default_rng(1)
    found = by_area(cluster_sizes(sizes, np.array(weights), 2, rng=rng))
    np.testing.assert_allclose(found, [[side, side], [90.0, 90.0]])


def test_refinement_never_loses_and_finds_the_middle():
    # One anchor for 10x10 and 14.4x14.4: the best side ratio to both is at 12x12.
    sizes, weights = np.array([[10.0, 10.0], [14.4, 14.4]]), np.array([1.0, 1.0])
    start = np.array([[30.0, 25.0]])
    refined = refine_anchors(sizes, weights, start, rng=np.random.default_rng(0))
    assert measure_anchors(sizes, refined).fitness > 0.833
    same = refine_anchors(sizes, weights, start, rng=np.random.default_rng(0), generations=0)
    np.testing.assert_allclose(same, start)


def test_anchors_are_deterministic_sorted_and_better_than_the_start():
    rng = np.random.default_rng(3)
    sizes = np.exp(rng.normal([3.5, 3.8], 0.9, (4000, 2)))
    first, again, other = (
        compute_anchors(sizes, 6, seed=seed, generations=60) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (np.diff(first.prod(axis=1)) > 0).all()
    clustered = compute_anchors(sizes, 6, generations=0)
    assert measure_anchors(sizes, first).fitness > measure_anchors(sizes, clustered).fitness


@pytest.mark.peer
def test_no_worse_than_euclidean_k_means_with_the_same_refinement():
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(7)
    sizes = np.exp(rng.normal([3.2, 3.4], [1.0, 0.8], (2000, 2)))
    peer = cluster.KMeans(9, n_init=4, random_state=0).fit(sizes).cluster_centers_
    joined, weights = size_histogram(sizes)
    peer = refine_anchors(joined, weights, peer, rng=rng, generations=200)
    ours = compute_anchors(sizes, 9, generations=200)
    assert measure_anchors(sizes, ours).mean_best_iou >= measure_anchors(sizes, peer).mean_best_iou


def test_chunks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(5)
    sizes, anchors = two_groups(rng), np.array([[20.0, 40.0], [150.0, 90.0]])
    whole = measure_anchors(sizes, anchors)
    monkeypatch.setattr("yolov7.analysis.anchors._CHUNK", 7)
    parts = measure_anchors(sizes, anchors)
    assert all(math.isclose(getattr(whole, n), getattr(parts, n)) for n in vars(whole))


def test_equal_boxes_are_an_error_only_where_anchors_outnumber_them():
    np.testing.assert_allclose(compute_anchors(np.full((5, 2), 32.0), 1), [[32, 32]], rtol=0.01)
    with pytest.raises(UserError, match="at least 2 boxes of different size, got 1"):
        compute_anchors(np.full((5, 2), 32.0), 2)
    with pytest.raises(UserError, match="at least 9 boxes, got 0"):
        compute_anchors(np.zeros((0, 2)), 9)
    with pytest.raises(UserError, match="positive"):
        compute_anchors(np.array([[1.0, 0.0]]), 1)


@pytest.mark.parametrize("side", [28.0, 32.0])
def test_boxes_that_only_rounding_tells_apart_are_equal(side):
    # 32 lies on the border of two bins of the histogram.
    nearly = side * (1 + np.arange(-4, 5)[:, None] * np.array([1e-16, 2e-16]))
    assert len(np.unique(nearly, axis=0)) > 2
    with pytest.raises(UserError, match="at least 2 boxes of different size, got 1"):
        compute_anchors(nearly, 2)
