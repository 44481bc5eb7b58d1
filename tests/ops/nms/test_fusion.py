from __future__ import annotations

import pytest
import torch

from yolov7.ops.box_ops import pairwise_iou
from yolov7.ops.nms import Sources, fuse_candidates, weighted_boxes_fusion


def two_models() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Sources]:
    """Both see one object; the first alone another, the second alone one of another class."""
    first = torch.tensor([[0.0, 0, 10, 10], [50.0, 0, 60, 10]])
    second = torch.tensor([[2.0, 0, 12, 10], [0.0, 0, 10, 10]])
    scores, classes = torch.tensor([0.9, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 0, 1])
    return torch.cat([first, second]), scores, classes, Sources.of_parts([first, second])


def test_two_models_by_hand() -> None:
    boxes, scores, classes, sources = two_models()
    # 8 · 10 / (2 · 100 − 80) = 2/3. Mean box: x0 = (0 · .9 + 2 · .3) / 1.2 = .5.
    kept = weighted_boxes_fusion(boxes, scores, classes, 0.55, sources=sources)
    assert kept.index.tolist() == [0, 3, 1]
    assert kept.scores.tolist() == pytest.approx([0.6, 0.4, 0.2])
    expected = torch.tensor([[0.5, 0, 10.5, 10], [0.0, 0, 10, 10], [50.0, 0, 60, 10]])
    torch.testing.assert_close(kept.boxes, expected)
    apart = weighted_boxes_fusion(boxes, scores, classes, 0.7, sources=sources)
    assert apart.index.tolist() == [0, 3, 1, 2]
    assert apart.scores.tolist() == pytest.approx([0.45, 0.4, 0.2, 0.15])
    few = weighted_boxes_fusion(boxes, scores, classes, 0.7, sources=sources, most=3, lowest=0.3)
    assert few.index.tolist() == [0, 3]


def test_weights_by_hand() -> None:
    boxes, scores, classes, sources = two_models()
    weighted = Sources(sources.index, (1.0, 2.0))
    kept = weighted_boxes_fusion(boxes, scores, classes, 0.55, sources=weighted)
    # The pair has .9 and .6: x0 = 1.2 / 1.5, score .75 · 2 / 3; alone: .8 · 2 / 3 and .4 / 3.
    assert kept.index.tolist() == [3, 0, 1]
    assert kept.scores.tolist() == pytest.approx([1.6 / 3, 0.5, 0.4 / 3])
    assert kept.boxes[1].tolist() == pytest.approx([0.8, 0, 10.8, 10])


def test_a_box_joins_the_mean_not_the_first_box() -> None:
    """The third box overlaps the first by 1/2 only, but the mean of two by more."""
    boxes = torch.tensor([[0.0, 0, 12, 10], [2.0, 0, 14, 10], [4.0, 0, 16, 10]])
    scores, classes = torch.tensor([0.9, 0.9, 0.1]), torch.zeros(3, dtype=torch.int64)
    kept = fuse_candidates(boxes, scores, classes, 0.55)
    # The mean [1, 13] shares 9 of 15 with [4, 16]: .6.
    assert kept.boxes[:, 0].tolist() == pytest.approx([(0 * 0.9 + 2 * 0.9 + 4 * 0.1) / 1.9])
    assert kept.scores.tolist() == pytest.approx([0.9])
    assert len(fuse_candidates(boxes, scores, classes, 0.61).index) == 2


def test_views_by_hand() -> None:
    """Duplicates in a view count once, with the best score; views that do not agree divide it."""
    boxes = torch.tensor([[0.0, 0, 10, 10]] * 4)
    scores, classes = torch.tensor([0.9, 0.5, 0.1, 0.6]), torch.zeros(4, dtype=torch.int64)
    alone = fuse_candidates(boxes, scores, classes, 0.55)
    assert alone.scores.tolist() == pytest.approx([0.9])
    views = Sources(torch.tensor([0, 0, 0, 1]), (1.0, 1.0, 1.0))
    kept = fuse_candidates(boxes, scores, classes, 0.55, sources=views)
    # (.9 + .6) / 2 · 2 / 3 views
    assert kept.index.tolist() == [0]
    assert kept.scores.tolist() == pytest.approx([0.5])
    one = fuse_candidates(
        boxes[:3], scores[:3], classes[:3], 0.55, sources=Sources.of_parts([boxes[:3]])
    )
    assert torch.equal(one.scores, alone.scores)


def literal_fusion(boxes, scores, classes, threshold):
    """One list of clusters, box by box, as the paper's section 3 lists the steps."""
    clusters = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        best, where = threshold, None
        for cluster in clusters:
            if cluster["class"] == classes[i]:
                overlap = float(pairwise_iou(cluster["box"][None], boxes[i : i + 1])[0, 0])
                if overlap > best:
                    best, where = overlap, cluster
        if where is None:
            where = {"class": classes[i], "members": []}
            clusters.append(where)
        where["members"].append(i)
        own = scores[where["members"]]
        where["box"] = (boxes[where["members"]] * own[:, None]).sum(dim=0) / own.sum()
    return clusters


@pytest.mark.parametrize("objects", [2, 12])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_loop(seed: int, objects: int, crowd) -> None:
    boxes, scores, classes = (part.double() for part in crowd(seed, 120, objects=objects))
    clusters = literal_fusion(boxes, scores, classes, 0.5)
    kept = fuse_candidates(boxes, scores, classes.long(), 0.5)
    assert kept.index.tolist() == [cluster["members"][0] for cluster in clusters]
    expected = torch.stack([cluster["box"] for cluster in clusters])
    torch.testing.assert_close(kept.boxes, expected)
    assert torch.equal(kept.scores, scores[kept.index])


def test_scores_of_zero_have_a_mean() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 8]])
    kept = fuse_candidates(boxes, torch.zeros(2), torch.zeros(2, dtype=torch.int64), 0.5)
    assert kept.boxes.tolist() == [pytest.approx([0, 0, 10, 9])]
