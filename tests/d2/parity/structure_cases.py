"""Boxes, instances, image lists, masks, post-processing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain import attempt, plain

from yolov7 import d2

CORNERS = [[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 15.5, 8.0], [3.0, 3.0, 3.0, 9.0], [-4.0, 2.0, 90, 50]]
ROTATED = [[50.0, 50.0, 30.0, 20.0, 30.0], [1.0, 1.0, 2.0, 4.0, -90.0]]


def case_box_mode(folder: Path) -> Any:
    results: list[Any] = []
    for source in range(5):
        for target in range(5):
            rows = ROTATED if source == 4 else CORNERS
            boxes = (
                torch.tensor(rows),
                torch.tensor(rows).double(),
                np.array(rows),
                np.array(rows, dtype=np.int64),
                list(rows[0]),
                tuple(int(v) for v in rows[0]),
                torch.zeros(0, len(rows[0])),
            )
            mode = d2.BoxMode(target)
            results += [attempt(d2.BoxMode.convert, box, source, mode) for box in boxes]
    return [results, attempt(d2.BoxMode.convert, [1, 2, 3], 0, 1), int(d2.BoxMode.XYWH_ABS)]


def case_boxes(folder: Path) -> Any:
    given = torch.tensor(CORNERS)
    boxes = d2.Boxes(given)
    boxes.scale(2.0, 0.5)
    clipped = boxes.clone()
    clipped.clip((20, 30))
    few, none = d2.Boxes([[0, 0, 4, 4]]), d2.Boxes([])
    return [
        plain(given),
        plain(clipped),
        [plain(b) for b in (boxes.area(), boxes.nonempty(), boxes.nonempty(6.0))],
        [plain(boxes.inside_box((20, 30))), plain(boxes.inside_box((20, 30), 200))],
        [plain(boxes.get_centers()), len(boxes), plain(none), plain(list(boxes)[1])],
        [attempt(boxes.__getitem__, i) for i in (0, -1, slice(1, 3), [0, 2], 9)],
        attempt(boxes.__getitem__, torch.tensor([True, False, True, False])),
        [plain(d2.Boxes.cat([boxes, few, none])), plain(d2.Boxes.cat([]))],
        [attempt(d2.Boxes, torch.zeros(2, 5)), attempt(d2.Boxes.cat, [given])],
        attempt(d2.Boxes(torch.tensor([[0.0, 0, float("nan"), 1]])).clip, (3, 3)),
        [plain(f(a, b)) for f in (d2.pairwise_iou, d2.pairwise_ioa)
         for a, b in ((boxes, few), (few, boxes), (none, few), (boxes, none), (boxes, boxes))],
    ]  # fmt: skip


def case_instances(folder: Path) -> Any:
    table = d2.Instances((10, 20), boxes=d2.Boxes(torch.tensor(CORNERS)), names=list("abcd"))
    table.scores = torch.arange(4) / 4
    without_list = d2.Instances((10, 20), boxes=table.boxes, scores=table.scores)
    sub = without_list[torch.tensor([True, False, False, True])]
    return [
        [plain(table), len(table), plain(table[1]), plain(table[-1]), plain(table[1:3])],
        [plain(sub.scores), table.has("scores"), table.has("no"), list(table.get_fields())],
        [attempt(table.__getitem__, 4), attempt(table.__getitem__, -5), attempt(iter, table)],
        attempt(without_list.__getitem__, np.int64(1)),
        attempt(table.__getitem__, torch.tensor([True, False, True, False])),
        [attempt(setattr, table, "scores", torch.zeros(3)), attempt(getattr, table, "no")],
        [attempt(len, d2.Instances((1, 1))), attempt(bool, d2.Instances((1, 1)))],
        [attempt(table.get, "no"), attempt(table.remove, "no")],
        attempt(d2.Instances.cat, [table[0], table[2:]]),
        attempt(d2.Instances.cat, [table, d2.Instances((1, 2), scores=torch.zeros(1))]),
        [d2.Instances.cat([table]) is table, attempt(d2.Instances.cat, [])],
        plain(table.to("cpu")),
    ]


def case_image_list(folder: Path) -> Any:
    sizes = {"one": [(5, 7)], "two": [(5, 7), (8, 3)], "wide": [(1, 9), (2, 2), (2, 3)]}
    wishes = (None, {}, {"square_size": 16}, {"size_divisibility": 0}, {"square_size": 0},
              {"square_size": 10, "size_divisibility": 4}, {"square_size": 4})  # fmt: skip
    results = []
    for group in sizes.values():
        for flat in (False, True):
            images = [torch.full(s if flat else (2, *s), i + 1.0) for i, s in enumerate(group)]
            for divisor in (0, 1, 4):
                results += [
                    attempt(d2.ImageList.from_tensors, images, divisor, 9.0, wish)
                    for wish in wishes
                ]
    batch = d2.ImageList.from_tensors([torch.ones(3, 2, 2), torch.zeros(3, 4, 1)])
    numbers = d2.ImageList.from_tensors([torch.ones(1, 2, 2, dtype=torch.uint8)], 4, 7)
    uneven = [torch.zeros(3, 2, 2), torch.zeros(1, 2, 2)]
    return [results, len(batch), plain(batch[0]), plain(batch[1]), plain(numbers),
            attempt(d2.ImageList.from_tensors, []),
            attempt(d2.ImageList.from_tensors, uneven)]  # fmt: skip


def case_masks(folder: Path) -> Any:
    square, triangle = [1.0, 1, 6, 1, 6, 5, 1, 5], [0.0, 0, 9, 0, 0, 7.5]
    polygons = d2.PolygonMasks([[np.array(square)], [square, triangle], [triangle]])
    bits = d2.BitMasks.from_polygon_masks(polygons, 10, 12)
    boxes = torch.tensor([[0.0, 0, 6, 6], [1, 1, 9, 8.5], [2, 2, 2, 2]])
    results = []
    for masks in (polygons, bits):
        results += [
            plain(masks),
            len(masks),
            [plain(masks.get_bounding_boxes()), plain(masks.nonempty())],
            [plain(masks[i]) for i in (1, slice(0, 2), [2, 0], torch.tensor([2, 1]))],
            plain(masks[torch.tensor([True, False, True])]),
            plain(masks.crop_and_resize(boxes[:2].repeat(2, 1)[:3], 7)),
            plain(type(masks).cat([masks, masks[0]])),
            attempt(masks.crop_and_resize, boxes[:1], 7),
            attempt(type(masks).cat, []),
        ]
    return [
        results,
        plain(polygons.area().double()),
        attempt(polygons.__getitem__, torch.tensor([0.5])),
        [attempt(d2.PolygonMasks, bad) for bad in ((), [()], [[[1.0, 2]]], [[[0.0] * 7]])],
        plain(d2.BitMasks.from_polygon_masks([], 3, 4)),
        attempt(d2.BitMasks, torch.zeros(2, 2)),
        plain(d2.BitMasks(torch.zeros(2, 3, 4)).get_bounding_boxes()),
        [plain(d2.polygons_to_bitmask(p, 9, 8)) for p in ([], [np.array(square)])],
    ]


def case_postprocess(folder: Path) -> Any:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[2.0, 2, 30, 20], [10, 5, 10, 15], [40, 10, 70, 60], [-5, -5, 6, 4.5]])
    found = d2.Instances((50, 60), pred_boxes=d2.Boxes(boxes), scores=torch.arange(4.0))
    found.pred_masks = torch.rand(4, 1, 14, 14, generator=generator)
    resized = d2.detector_postprocess(found, 100, 90)
    absent = d2.Instances((5, 5), scores=torch.zeros(1))
    return [plain(resized), plain(boxes), attempt(d2.detector_postprocess, absent, 5, 5)]
