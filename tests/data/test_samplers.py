"""Keys are pure functions of the seed and the iteration."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.data.samplers import (
    InferenceSampler,
    MultiScaleSchedule,
    RepeatFactorOrder,
    SampleKey,
    ShuffledOrder,
    TrainingBatchSampler,
    repeat_factors,
    sample_rng,
)


def record(*classes, crowd=()):
    annotations = [{"category_id": c, "iscrowd": 0} for c in classes]
    return {"annotations": annotations + [{"category_id": c, "iscrowd": 1} for c in crowd]}


def batches(n, batch, iterations, *, seed=0, **options):
    sampler = TrainingBatchSampler(
        ShuffledOrder(n, seed=seed), batch, max_iter=iterations, **options
    )
    return list(sampler)


def test_keys_of_a_hand_worked_stream():
    # 5 records, batches of 3: places 0 1 2 | 3 4 5 | 6 7 8; an epoch ends after place 4.
    keys = batches(5, 3, 3)
    assert [[(k.epoch, k.position) for k in batch] for batch in keys] == [
        [(0, 0), (0, 1), (0, 2)],
        [(0, 3), (0, 4), (1, 0)],
        [(1, 1), (1, 2), (1, 3)],
    ]
    assert [[k.iteration for k in batch] for batch in keys] == [[0] * 3, [1] * 3, [2] * 3]
    order = ShuffledOrder(5, seed=0)
    assert all(k.index == order(k.epoch)[k.position] for batch in keys for k in batch)


def test_every_epoch_has_every_record_once_in_another_order():
    order = ShuffledOrder(50, seed=3)
    epochs = [order(e) for e in range(4)]
    assert all(sorted(e) == list(range(50)) for e in epochs)
    assert len({tuple(e) for e in epochs}) == 4
    assert (order(2) == ShuffledOrder(50, seed=3)(2)).all()
    assert (order(2) != ShuffledOrder(50, seed=4)(2)).any()


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 30),
    batch=st.integers(1, 40),
    start=st.integers(0, 12),
    seed=st.integers(0, 2**63 - 1),
)
def test_resumed_stream_is_the_tail_of_the_whole(n, batch, start, seed):
    whole = batches(n, batch, 12, seed=seed)
    assert len(whole) == 12
    assert batches(n, batch, 12, seed=seed, start_iter=start) == whole[start:]


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_ranks_interleave_to_the_single_process_batch(world_size):
    whole = batches(10, 6, 7)
    shares = [batches(10, 6, 7, rank=r, world_size=world_size) for r in range(world_size)]
    for iteration, batch in enumerate(whole):
        for rank in range(world_size):
            assert shares[rank][iteration] == batch[rank::world_size]


def test_sampler_can_be_iterated_again_and_knows_its_length():
    sampler = TrainingBatchSampler(ShuffledOrder(4, seed=0), 2, start_iter=3, max_iter=8)
    assert len(sampler) == 5
    assert list(sampler) == list(sampler)
    assert (
        len(list(TrainingBatchSampler(ShuffledOrder(4, seed=0), 2, start_iter=8, max_iter=8))) == 0
    )


def test_impossible_batches_are_refused():
    with pytest.raises(ValueError, match="divisible"):
        batches(4, 3, 1, world_size=2)
    with pytest.raises(ValueError, match="empty"):
        batches(0, 3, 1)


def test_a_million_records_are_ordered_in_well_under_a_second():
    sampler = TrainingBatchSampler(
        ShuffledOrder(1_000_000, seed=0), 64, start_iter=500_000, max_iter=500_200
    )
    keys = [key for batch in sampler for key in batch]
    assert len({k.index for k in keys}) == len(keys)
    assert keys[0].epoch == 32


def test_draws_depend_on_epoch_position_and_attempt_only():
    key = SampleKey(iteration=9, epoch=2, position=5, index=7)
    draw = sample_rng(1, key).random()
    assert sample_rng(1, SampleKey(0, 2, 5, 99, (64, 64))).random() == draw
    others = [
        sample_rng(2, key),
        sample_rng(1, SampleKey(9, 3, 5, 7)),
        sample_rng(1, SampleKey(9, 2, 6, 7)),
        sample_rng(1, key, attempt=1),
    ]
    assert len({draw, *(rng.random() for rng in others)}) == 5


def test_keys_are_frozen_small_and_picklable():
    key = SampleKey(1, 2, 3, 4, (320, 416))
    assert pickle.loads(pickle.dumps(key)) == key
    with pytest.raises(AttributeError):
        key.index = 5


def test_repeat_factors_by_hand():
    # Class 0 in all 4 images, class 1 in one: f = 1, 0.25; t = 0.5 -> r = 1, sqrt(2).
    records = [record(0), record(0, 0, crowd=[1]), record(0, 1), record(0)]
    assert repeat_factors(records, threshold=0.5) == pytest.approx([1, 1, 2**0.5, 1])
    linear = repeat_factors(records, threshold=0.5, square_root=False)
    assert linear == pytest.approx([1, 1, 2, 1])
    assert repeat_factors([record(), *records], threshold=0.0).tolist() == [1] * 5


def test_repeat_order_repeats_by_floor_or_ceil_and_on_average():
    factors = np.array([1.0, 2.5, 1.0, 3.25, 1.0])
    order = RepeatFactorOrder(factors, seed=0)
    assert order.length == 9  # ceil(8.75)
    counts = np.array([np.bincount(order(e), minlength=5) for e in range(2000)])
    assert (counts.sum(axis=1) == 9).all()
    stretched = factors * 9 / 8.75
    assert (counts >= np.floor(stretched)).all() and (counts <= np.ceil(stretched)).all()
    assert counts.mean(axis=0) == pytest.approx(stretched, abs=0.05)


def test_repeat_order_of_ones_is_a_permutation_each_epoch():
    order = RepeatFactorOrder(np.ones(97), seed=5)
    assert order.length == 97
    assert all(sorted(order(e)) == list(range(97)) for e in range(20))
    assert (order(3) == RepeatFactorOrder(np.ones(97), seed=5)(3)).all()
    assert (order(3) != order(4)).any()


def test_repeated_records_have_draws_of_their_own():
    sampler = TrainingBatchSampler(RepeatFactorOrder([1.0, 5.0], seed=0), 6, max_iter=1)
    keys = next(iter(sampler))
    assert Counter(k.index for k in keys) == {0: 1, 1: 5}
    assert len({sample_rng(0, k).random() for k in keys}) == 6


def schedule(**changes):
    options = {"input_size": (640, 640), "min_size": 480, "max_size": 800, "step": 32}
    return MultiScaleSchedule(**{**options, "period": 10, "seed": 0, **changes})


def test_sizes_change_by_period_only_and_use_the_whole_range():
    sizes = [schedule()(i) for i in range(3000)]
    assert all(len(set(sizes[i : i + 10])) == 1 for i in range(0, 3000, 10))
    assert {h for h, _ in sizes} == set(range(480, 801, 32))
    assert all(h == w for h, w in sizes)
    assert sizes[1234] == schedule()(1234)
    assert sizes != [schedule(seed=1)(i) for i in range(3000)]


def test_width_keeps_the_ratio_rounded_down_to_the_step():
    sizes = schedule(input_size=(416, 640), min_size=320, max_size=416).sizes
    # 320 * 640 / 416 = 492.3 -> 480; 352 -> 541.5 -> 512; 384 -> 590.8 -> 576; 416 -> 640.
    assert sizes == [(320, 480), (352, 512), (384, 576), (416, 640)]


def test_size_travels_in_the_key():
    keys = batches(7, 2, 40, size_schedule=schedule())
    assert all(key.size == schedule()(key.iteration) for batch in keys for key in batch)
    assert batches(7, 2, 1)[0][0].size is None


@pytest.mark.parametrize("size", [0, 1, 5, 8, 13])
@pytest.mark.parametrize("world_size", [1, 2, 5, 8])
def test_inference_shards_are_contiguous_exact_and_even(size, world_size):
    samplers = [InferenceSampler(size, rank=r, world_size=world_size) for r in range(world_size)]
    shards = [list(s) for s in samplers]
    assert [i for shard in shards for i in shard] == list(range(size))
    lengths = [len(s) for s in samplers]
    assert lengths == [len(s) for s in shards]
    assert max(lengths) - min(lengths) <= 1 and lengths == sorted(lengths, reverse=True)
