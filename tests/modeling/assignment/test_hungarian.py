from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_convert, generalized_box_iou

from yolov7.config import get_config
from yolov7.modeling import build_assigner
from yolov7.modeling.assignment import HungarianMatcher
from yolov7.modeling.assignment.class_costs import FocalCost, softmax_cost
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.targets import Targets
from yolov7.utils.errors import ConfigError, DatasetError


def random_case(
    counts: list[int], *, seed: int = 0, layers: int = 2, queries: int = 5, dtype=torch.float64
) -> tuple[QueryPredictions, Targets]:
    """Images of 100x200 with `counts` objects of 3 classes, and 4 logits a query."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype)

    predictions = QueryPredictions(
        class_logits=6 * uniform(layers, len(counts), queries, 4) - 3,
        boxes_norm=0.05 + 0.9 * uniform(layers, len(counts), queries, 4),
    )
    low = uniform(sum(counts), 2) * torch.tensor([100.0, 50.0])
    size = uniform(sum(counts), 2) * torch.tensor([100.0, 50.0])
    targets = Targets(
        boxes=torch.cat([low, low + size], dim=1),
        labels=torch.randint(3, (sum(counts),), generator=generator),
        image_index=torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)),
        image_sizes=torch.tensor([[100, 200]]).repeat(len(counts), 1),
    )
    return predictions, targets


def pair_cost(logits, box_norm, label, box, *, focal: bool) -> float:
    """The cost of one pair, written out; boxes in [0, 1] and in pixels of 100x200."""
    frame = torch.tensor([200.0, 100.0, 200.0, 100.0], dtype=torch.float64)
    wanted = box_convert(box / frame, "xyxy", "cxcywh")
    distance = sum(abs(float(a) - float(b)) for a, b in zip(box_norm, wanted, strict=True))
    overlap = generalized_box_iou(
        box_convert(box_norm[None], "cxcywh", "xyxy"), (box / frame)[None]
    ).item()
    if focal:
        p = 1 / (1 + math.exp(-float(logits[label])))
        class_cost = 0.25 * (1 - p) ** 2 * -math.log(p) - 0.75 * p**2 * -math.log(1 - p)
    else:
        class_cost = -math.exp(logits[label]) / sum(math.exp(value) for value in logits)
    return 1.5 * class_cost + 5 * distance - 2 * overlap


@pytest.mark.parametrize("focal", [False, True])
@pytest.mark.parametrize("counts", [[3], [2, 0, 4], [5, 1, 0], [1, 1, 1]])
def test_no_permutation_is_cheaper(counts, focal) -> None:
    matcher = HungarianMatcher(class_cost=FocalCost() if focal else softmax_cost, class_weight=1.5)
    predictions, targets = random_case(counts, seed=sum(counts))
    found = matcher(predictions, targets)
    assert found.shape == (2, sum(counts))
    for layer, image in itertools.product(range(2), range(len(counts))):
        objects = (targets.image_index == image).nonzero().flatten().tolist()
        costs = [
            [
                pair_cost(
                    predictions.class_logits[layer, image, query],
                    predictions.boxes_norm[layer, image, query],
                    int(targets.labels[index]),
                    targets.boxes[index],
                    focal=focal,
                )
                for query in range(5)
            ]
            for index in objects
        ]
        best = min(
            itertools.permutations(range(5), len(objects)),
            key=lambda queries: sum(row[query] for row, query in zip(costs, queries, strict=True)),
        )
        assert found[layer, objects].tolist() == list(best)


@pytest.mark.parametrize(
    ("kind", "final", "first"),
    [
        ("softmax", [25, 84, 46, 50, 89], [94, 1, 54, 75, 89]),
        ("sigmoid", [103, 524, 486, 210, 496], [790, 245, 581, 289, 458]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_authors_matches(query_cases, kind, final, first, dtype) -> None:
    """DETR 29901c5 and Anchor DETR 0b4358a on made-up predictions of six layers."""
    matcher = {
        "softmax": HungarianMatcher(),
        "sigmoid": HungarianMatcher(class_cost=FocalCost(), class_weight=2.0),
    }[kind]
    predictions = getattr(query_cases, f"{kind}_predictions")()
    predictions = replace(
        predictions,
        class_logits=predictions.class_logits.to(dtype),
        boxes_norm=predictions.boxes_norm.to(dtype),
    )
    queries = matcher(predictions, query_cases.two_images())
    assert queries[5].tolist() == final
    assert queries[0].tolist() == first


@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    layers=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_every_object_gets_a_query_of_its_own(counts, layers, seed) -> None:
    predictions, targets = random_case(counts, seed=seed, layers=layers, queries=6)
    queries = HungarianMatcher()(predictions, targets)
    assert queries.shape == (layers, sum(counts))
    assert queries.dtype == torch.int64
    for layer in queries:
        taken = list(zip(targets.image_index.tolist(), layer.tolist(), strict=True))
        assert len(set(taken)) == len(taken)
        assert all(0 <= query < 6 for _, query in taken)
    # An image is matched as if it were alone.
    for image in range(len(counts)):
        own = targets.image_index == image
        single = HungarianMatcher()(
            QueryPredictions(
                predictions.class_logits[:, [image]], predictions.boxes_norm[:, [image]]
            ),
            replace(
                targets,
                boxes=targets.boxes[own],
                labels=targets.labels[own],
                image_index=targets.image_index[own] * 0,
                image_sizes=targets.image_sizes[[image]],
            ),
        )
        assert torch.equal(single, queries[:, own])


def test_comparing_boxes_in_pieces_changes_nothing() -> None:
    predictions, targets = random_case([4, 0, 5, 3])
    whole = HungarianMatcher().costs(predictions, targets)
    for max_pairs in (1, 30, 64):
        assert torch.equal(HungarianMatcher(max_pairs=max_pairs).costs(predictions, targets), whole)


def test_more_objects_than_queries_is_an_error_that_names_image_and_counts() -> None:
    predictions, targets = random_case([2, 6], queries=5)
    with pytest.raises(DatasetError, match=r"image 1 .* 6 objects.* 5 queries.*NUM_OBJECT_QUERIES"):
        HungarianMatcher()(predictions, targets)
    predictions, targets = random_case([5, 5], queries=5)
    assert HungarianMatcher()(predictions, targets)[0, :5].sort().values.tolist() == [0, 1, 2, 3, 4]


def test_half_precision_is_raised() -> None:
    predictions, targets = random_case([3, 2], dtype=torch.float32)
    half = replace(
        predictions,
        class_logits=predictions.class_logits.bfloat16(),
        boxes_norm=predictions.boxes_norm.bfloat16(),
    )
    raised = half.at_least_float32()
    assert torch.equal(HungarianMatcher()(half, targets), HungarianMatcher()(raised, targets))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_query_is_matched_so_that_the_loss_tells(value) -> None:
    predictions, targets = random_case([2, 2])
    predictions.boxes_norm[1, 0, 3] = value
    queries = HungarianMatcher()(predictions, targets)
    assert 3 in queries[1, :2]
    assert HungarianMatcher().costs(predictions, targets).isfinite().all()


def test_work_does_not_grow_with_images_but_for_the_assignment(record) -> None:
    one, three = (random_case(counts, queries=8) for counts in ([6], [2, 1, 3]))
    matcher = HungarianMatcher()
    first, second = record(lambda: matcher(*one)), record(lambda: matcher(*three))
    assert first.operations == second.operations
    assert second.data_dependent == 0


def test_config() -> None:
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME = "HungarianMatcher"
    cfg.MODEL.ASSIGNER.CLASS_COST, cfg.MODEL.ASSIGNER.IOU_COST = 2.0, 4.0
    cfg.MODEL.ASSIGNER.L1_COST = 3.0
    cfg.MODEL.CRITERION.CLASS_LOSS = "softmax"
    matcher = build_assigner(cfg, of_queries=True)
    assert matcher.class_cost is softmax_cost
    assert (matcher.class_weight, matcher.giou_weight, matcher.l1_weight) == (2.0, 4.0, 3.0)
    cfg.MODEL.CRITERION.CLASS_LOSS = "focal"
    cfg.MODEL.CRITERION.FOCAL_ALPHA, cfg.MODEL.CRITERION.FOCAL_GAMMA = 0.5, 1.0
    focal = build_assigner(cfg, of_queries=True).class_cost
    assert (focal.alpha, focal.gamma) == (0.5, 1.0)
    cfg.MODEL.CRITERION.CLASS_LOSS = "bce"
    with pytest.raises(ConfigError, match=r"CLASS_LOSS.*'bce'.*focal, softmax"):
        build_assigner(cfg, of_queries=True)
