"""A made-up data set in COCO's form with detections, as large and as awkward as asked for.

It has what real data sets and their evaluations trip over: gapped category ids, images without
objects or without detections, crowds, objects of all areas, tied scores, more detections than are
counted.
"""

from __future__ import annotations

import numpy as np

HEIGHT, WIDTH = 480, 640


def synthetic_coco(
    *,
    num_images: int,
    num_objects: int,
    num_detections: int,
    num_classes: int,
    seed: int = 0,
    with_masks: bool = False,
) -> tuple[dict, list[dict]]:
    """Draw a data set and results for it.

    Args:
        num_images: images of 480×640 pixels; one in twenty has no objects, one in twenty no
            detections.
        num_objects: annotations in all, one in a hundred a crowd.
        num_detections: detections in all; two thirds are shaken objects, mostly of the right class.
        num_classes: categories, with gapped ids.
        seed: equal seeds give equal data.
        with_masks: add polygons (octagons, crowds as uncompressed RLE) and, for detections, the
            polygons to rasterise.

    Returns:
        the data set in COCO's json form, and results `{image_id, category_id, bbox, score}` (with
        `polygon`, when masks are asked for), grouped by image.
    """
    rng = np.random.default_rng(seed)
    image_ids = np.sort(rng.choice(10 * num_images, num_images, replace=False)) + 1
    category_ids = np.arange(num_classes) * 9 // 8 + 1

    populated = np.flatnonzero(rng.random(num_images) > 0.05)
    object_images = populated[rng.integers(len(populated), size=num_objects)]
    object_classes = rng.integers(num_classes, size=num_objects)
    object_boxes = _boxes(rng, num_objects)
    crowd = rng.random(num_objects) < 0.01

    annotations = []
    for place in range(num_objects):
        box = object_boxes[place].tolist()
        annotation = {
            "id": place + 1,
            "image_id": int(image_ids[object_images[place]]),
            "category_id": int(category_ids[object_classes[place]]),
            "bbox": box,
            "area": box[2] * box[3] * 7 / 8,
            "iscrowd": int(crowd[place]),
        }
        if with_masks:
            annotation["segmentation"] = _rle(box) if crowd[place] else [_octagon(box)]
        annotations.append(annotation)

    coco = {
        "images": [
            {"id": int(i), "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH}
            for i in image_ids
        ],
        "categories": [{"id": int(c), "name": f"class {k}"} for k, c in enumerate(category_ids)],
        "annotations": annotations,
    }
    return coco, _results(
        rng,
        num_detections=num_detections,
        image_ids=image_ids,
        category_ids=category_ids,
        objects=(object_images, object_classes, object_boxes),
        with_masks=with_masks,
    )


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) xywh inside the image, sides spread evenly over the octaves from 6 to 400."""
    sides = np.exp(rng.uniform(np.log(6), np.log(400), (count, 2)))
    corners = rng.uniform(0, 1, (count, 2)) * (np.array([WIDTH, HEIGHT]) - sides)
    return np.concatenate([corners, sides], axis=1)


def _results(
    rng: np.random.Generator,
    *,
    num_detections: int,
    image_ids: np.ndarray,
    category_ids: np.ndarray,
    objects: tuple[np.ndarray, np.ndarray, np.ndarray],
    with_masks: bool,
) -> list[dict]:
    object_images, object_classes, object_boxes = objects
    looked_at = np.flatnonzero(rng.random(len(image_ids)) > 0.05)
    images = looked_at[rng.integers(len(looked_at), size=num_detections)]
    classes = rng.integers(len(category_ids), size=num_detections)
    boxes = _boxes(rng, num_detections)
    found = rng.random(num_detections) < 2 / 3
    sources = rng.integers(len(object_images), size=num_detections)
    found &= np.isin(object_images[sources], looked_at)
    images[found] = object_images[sources[found]]
    right = found & (rng.random(num_detections) < 0.9)
    classes[right] = object_classes[sources[right]]
    shaken = object_boxes[sources] * rng.uniform(0.85, 1.15, (num_detections, 4))
    boxes[found] = shaken[found]
    scores = np.round(rng.beta(1, 3, num_detections) + 0.2 * found, 3)

    results = []
    for place in np.argsort(images, kind="stable"):
        box = boxes[place].tolist()
        row = {
            "image_id": int(image_ids[images[place]]),
            "category_id": int(category_ids[classes[place]]),
            "bbox": box,
            "score": float(scores[place]),
        }
        if with_masks:
            row["polygon"] = _octagon(box)
        results.append(row)
    return results


def _octagon(box: list[float]) -> list[float]:
    """The box with its corners cut off at a quarter of its sides: 7/8 of its area."""
    x, y, w, h = box
    columns = (1, 3, 4, 4, 3, 1, 0, 0)
    rows = (0, 0, 1, 3, 4, 4, 3, 1)
    pairs = zip(columns, rows, strict=True)
    return [v for c, r in pairs for v in (x + c * w / 4, y + r * h / 4)]


def _rle(box: list[float]) -> dict:
    """The box as uncompressed run-length encoding, column by column."""
    x, y, right, bottom = (round(v) for v in (box[0], box[1], box[0] + box[2], box[1] + box[3]))
    right, bottom = max(right, x + 1), max(bottom, y + 1)
    inside, outside = bottom - y, HEIGHT - (bottom - y)
    runs = [x * HEIGHT + y, inside] + [outside, inside] * (right - x - 1)
    return {"size": [HEIGHT, WIDTH], "counts": [*runs, HEIGHT * WIDTH - sum(runs)]}
