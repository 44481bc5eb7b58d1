"""Catalogs, COCO files, augmentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from plain import attempt, plain

from yolov7 import d2


def case_catalogs(folder: Path) -> Any:
    d2.DatasetCatalog.register("parity", lambda: [{"x": 1}])
    metadata = d2.MetadataCatalog.get("parity")
    metadata.set(thing_classes=["a"], other=1)
    return [
        d2.DatasetCatalog.get("parity"),
        "parity" in d2.DatasetCatalog.list(),
        attempt(d2.DatasetCatalog.register, "parity", len),
        attempt(d2.DatasetCatalog.register, "parity2", 3),
        attempt(d2.DatasetCatalog.get, "absent"),
        [metadata.as_dict(), metadata.name, d2.MetadataCatalog.get("parity") is metadata],
        [attempt(setattr, metadata, "other", 1), attempt(setattr, metadata, "other", 2)],
        [attempt(getattr, metadata, "no"), metadata.get("no", 5), metadata.get("other")],
        attempt(getattr, metadata, "class_names"),
        attempt(getattr, d2.Metadata(), "no"),
        [attempt(d2.MetadataCatalog.get, ""), attempt(d2.MetadataCatalog.remove, "absent")],
        [attempt(d2.DatasetCatalog.remove, "parity"), "parity" in d2.DatasetCatalog],
    ]


def case_coco(folder: Path) -> Any:
    polygon = [1.0, 1.0, 6.0, 1.0, 6.0, 5.0]
    common = {"iscrowd": 0, "bbox": [1, 1, 5, 4]}
    objects = [
        {"id": 1, "image_id": 9, "category_id": 7, **common, "segmentation": [polygon, [1, 2]]},
        {"id": 2, "image_id": 9, "category_id": 3, **common, "segmentation": [[1, 2, 3, 4]]},
        {"id": 3, "image_id": 4, "category_id": 3, **common, "iscrowd": 1,
         "segmentation": {"size": [8, 9], "counts": [10, 5, 57]}},
        {"id": 4, "image_id": 4, "category_id": 7, **common, "segmentation": [], "extra": "e",
         "keypoints": [1, 2, 2, 3, 4, 0]},
        {"id": 5, "image_id": 77, "category_id": 7, **common},
    ]  # fmt: skip
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 8, "width": 9} for i in (9, 4)],
        "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}],
        "annotations": objects,
    }
    path = str(folder / "parity.json")
    results: list[Any] = []

    def load(change: Any, *args: Any) -> Any:
        changed = json.loads(json.dumps(content))
        change(changed)
        Path(path).write_text(json.dumps(changed))
        return attempt(d2.load_coco_json, path, "root", *args)

    results.append(load(lambda c: None))
    results.append(load(lambda c: None, None, ["extra"]))
    results.append(load(lambda c: c["annotations"][1].update(id=1)))
    results.append(load(lambda c: c["annotations"][1].update(ignore=1)))
    results.append(load(lambda c: c["annotations"][1].update(bbox=[])))
    results.append(load(lambda c: c["annotations"][0].update(category_id=5), "parity_wrong"))
    results.append(load(lambda c: c.pop("annotations")))
    results.append(load(lambda c: None))
    d2.register_coco_instances("parity_coco", {"extra": 1}, path, "root")
    metadata = d2.MetadataCatalog.get("parity_coco")
    results.append(metadata.as_dict() | {"json_file": ""})
    results.append(plain(d2.DatasetCatalog.get("parity_coco")))
    results.append(plain(metadata.as_dict() | {"json_file": ""}))
    converted = d2.convert_to_coco_dict("parity_coco")
    converted.pop("info")
    results.append(converted)
    return results


def case_augmentation(folder: Path) -> Any:
    class Shift(d2.Transform):
        def apply_image(self, img):
            return img + 1

        def apply_coords(self, coords):
            return coords + 2

    class Policy(d2.Augmentation):
        def __init__(self, low=1, high=2):
            super().__init__()
            self._init(locals())

        def get_transform(self, whatever):
            return Shift()

    class Two(d2.Augmentation):
        def get_transform(self, image, boxes):
            return Shift() if boxes is not None else None

    class Variable(d2.Augmentation):
        def get_transform(self, image, *args):
            return Shift()

    def sample(**kwargs: Any) -> Any:
        return d2.AugInput(np.zeros((2, 3), dtype=np.float32), **kwargs)

    first = sample(boxes=np.array([[0.0, 0, 4, 4]]), sem_seg=np.ones((2, 3), dtype=np.uint8))
    transforms = d2.AugmentationList([Policy(), Shift(), Two()])(first)
    np.random.seed(3)
    return [
        [plain(first.image), plain(first.boxes), plain(first.sem_seg)],
        [isinstance(transforms, d2.TransformList), len(transforms)],
        plain(transforms.apply_coords(np.zeros((1, 2)))),
        [len(sample().apply_augmentations([Shift()])), repr(Policy(low=5)), Policy(high=7).high],
        [attempt(Two(), sample()), attempt(Variable(), sample()), attempt(d2.Augmentation())],
        [attempt(d2.AugInput, [1]), attempt(d2.AugInput, np.zeros(3))],
        attempt(d2.AugmentationList, [len]),
        [plain(Policy()._rand_range(3.0)), plain(Policy()._rand_range(1, 2, (2,)))],
    ]
