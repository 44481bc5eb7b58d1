"""Beside the package `ensemble-boxes`: recorded cases, and others where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from yolov7.ops.nms import (
    Sources,
    class_aware_nms,
    fuse_candidates,
    soft_gaussian_nms,
    soft_linear_nms,
    weighted_boxes_fusion,
)

RECORDED = json.loads(
    (Path(__file__).parents[2] / "reference" / "ensemble_boxes.json").read_text(encoding="utf-8")
)["cases"]


def joined(models):
    boxes = [torch.tensor(model["boxes"], dtype=torch.float64) for model in models]
    scores = torch.cat([torch.tensor(m["scores"], dtype=torch.float64) for m in models])
    return boxes, scores, torch.cat([torch.tensor(model["labels"]) for model in models])


def assert_equal(kept, classes, expected, tolerance=2e-6):
    assert classes[kept.index].tolist() == expected["labels"]
    assert kept.scores.tolist() == pytest.approx(expected["scores"], abs=tolerance)
    assert kept.boxes.flatten().tolist() == pytest.approx(
        np.asarray(expected["boxes"]).flatten().tolist(), abs=tolerance
    )


@pytest.mark.parametrize("case", RECORDED, ids=range(len(RECORDED)))
def test_recorded(case):
    parts, scores, classes = joined(case["models"])
    boxes, threshold, expected = torch.cat(parts), case["threshold"], case["results"]
    sources = Sources.of_parts(parts, case["weights"])
    fused = weighted_boxes_fusion(boxes, scores, classes, threshold, sources=sources)
    assert_equal(fused, classes, expected["wbf"])
    for name, nms in {
        "wbf_max": fuse_candidates,
        "soft_linear": soft_linear_nms,
        "soft_gaussian": soft_gaussian_nms,
        "nms": class_aware_nms,
    }.items():
        kept = nms(boxes, scores, classes, threshold, lowest=0.001)
        assert_equal(kept, classes, expected[name])


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(5))
def test_the_package_itself(seed, crowd):
    peer = pytest.importorskip("ensemble_boxes")
    parts, all_scores, all_classes = [], [], []
    for model in range(3):
        boxes, scores, classes = crowd(10 * seed + model, 150, objects=12)
        parts.append(((boxes.double() + 60) / 160).clamp(0, 1))
        all_scores.append(scores.double())
        all_classes.append(classes)
    arguments = [[part.tolist() for part in column] for column in (parts, all_scores, all_classes)]
    boxes, scores, classes = torch.cat(parts), torch.cat(all_scores), torch.cat(all_classes)
    for weights in (None, [1.0, 0.5, 2.0]):
        sources = Sources.of_parts(parts, weights)
        theirs = peer.weighted_boxes_fusion(*arguments, weights=weights, iou_thr=0.55)
        ours = weighted_boxes_fusion(boxes, scores, classes, 0.55, sources=sources)
        assert_equal(ours, classes, named(*theirs), tolerance=1e-5)
    for method, nms in ((1, soft_linear_nms), (2, soft_gaussian_nms)):
        lowered, rows = scores.numpy().copy(), []
        for label in range(3):
            own = (classes == label).nonzero().squeeze(1)
            part = lowered[own]
            kept = peer.ensemble_boxes_nms.cpu_soft_nms_float(
                boxes[own].numpy().copy(), part, Nt=0.5, sigma=0.5, thresh=0.001, method=method
            )
            rows.append(own[kept])
            lowered[rows[-1]] = part[part > 0.001]
        rows = torch.cat(rows).numpy()
        rows = rows[np.argsort(-lowered[rows], kind="stable")]
        ours = nms(boxes, scores, classes, 0.5, lowest=0.001)
        expected = named(boxes.numpy()[rows], lowered[rows], classes.numpy()[rows])
        assert_equal(ours, classes, expected)


def named(boxes, scores, labels):
    return {"boxes": boxes, "scores": scores.tolist(), "labels": labels.astype(int).tolist()}
