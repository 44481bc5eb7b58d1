"""Small data sets in COCO's form, and what became of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolov7.config import get_config
from yolov7.d2 import DatasetCatalog
from yolov7.data.catalog import load_records, register_from_config


class Workshop:
    """Registers data sets under names of their own and forgets them at the end."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names: list[str] = []

    def register(self, entry: dict, class_names: list[str] | None = None) -> str:
        name = f"test_{uuid.uuid4()}"
        cfg = get_config()
        cfg.DATASETS.REGISTER = [{"NAME": name, **entry}]
        cfg.DATASETS.CLASS_NAMES = class_names or []
        register_from_config(cfg)
        self.names.append(name)
        return name

    def forget(self) -> None:
        for name in self.names:
            DatasetCatalog.remove(name)

    def image(self, name: str, size: tuple[int, int]) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(path.suffix, np.zeros((*size, 3), np.uint8))[1]
        path.write_bytes(data.tobytes())

    def coco(
        self,
        images: dict[str, tuple[int, int]],
        annotations: list[dict],
        *,
        classes: dict[int, str],
        folder: str = "source",
        write_images: bool = True,
    ) -> str:
        """Register a COCO data set.

        Args:
            images: size (height, width) of each file; ids count from 10.
            annotations: `image` is the place of its image, `class` the category's id.
            classes: names by category id.
        """
        rows = []
        for number, (name, size) in enumerate(images.items(), start=10):
            rows.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
            if write_images:
                self.image(f"{folder}/{name}", size)
        objects = [
            {
                "id": 100 + number,
                "image_id": 10 + annotation["image"],
                "category_id": annotation["class"],
                "iscrowd": 0,
                **{k: v for k, v in annotation.items() if k not in ("image", "class")},
            }
            for number, annotation in enumerate(annotations)
        ]
        categories = [{"id": i, "name": name} for i, name in classes.items()]
        content = {"images": rows, "annotations": objects, "categories": categories}
        path = self.folder / f"{uuid.uuid4()}.json"
        path.write_text(json.dumps(content))
        return self.register(
            {"FORMAT": "coco", "ANNOTATIONS": str(path), "IMAGES": str(self.folder / folder)}
        )

    def read(self, entry: dict, class_names: list[str] | None = None) -> list[dict]:
        return load_records([self.register(entry, class_names)], training=False)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path)
    yield workshop
    workshop.forget()


@pytest.fixture(scope="session")
def new_workshop() -> type[Workshop]:
    """For tests that need many: `new_workshop(folder)`; `forget()` ends one."""
    return Workshop
