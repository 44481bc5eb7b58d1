"""There and back: from COCO through another format, changed by nothing but its rounding."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov7.data.conversion import (
    CocoWriter,
    VocWriter,
    Writer,
    YoloWriter,
    convert_dataset,
    link_image,
    read_split,
)

letters = st.text("aB7 #=é日._-&<:'", min_size=1, max_size=6).filter(
    lambda text: text == text.strip() and text[0] != "."
)
part = st.floats(0, 1)


@st.composite
def datasets(draw: Callable, *, inside: bool) -> dict[str, Any]:
    """A small data set in COCO's form; `inside`: boxes that do not leave their image."""
    names = draw(st.lists(letters, min_size=1, max_size=3, unique=True))
    side = st.integers(1, 400)
    images = {f"{name}.png": (draw(side), draw(side)) for name in names}
    sizes = list(images.values())
    ids = draw(st.lists(st.integers(0, 999), min_size=1, max_size=3, unique=True))
    classes = {i: draw(letters) + str(place) for place, i in enumerate(ids)}
    objects = []
    for _ in range(draw(st.integers(0, 6))):
        image = draw(st.integers(0, len(sizes) - 1))
        height, width = sizes[image]
        if inside:
            x, y = draw(part) * width, draw(part) * height
            box = [x, y, draw(part) * (width - x), draw(part) * (height - y)]
        else:
            box = [draw(st.floats(-500, 500)) for _ in range(4)]
        objects.append({"image": image, "class": draw(st.sampled_from(ids)), "bbox": box})
        if draw(st.booleans()):
            objects[-1]["difficult"] = 1
    return {"images": images, "annotations": objects, "classes": classes}


def there_and_back(new_workshop, dataset: dict, writer: Writer) -> list[tuple[list, Any]]:
    """Convert a data set and back to COCO; give the objects of each image by its name."""
    with tempfile.TemporaryDirectory() as folder:
        workshop = new_workshop(Path(folder))
        try:
            source = workshop.coco(**dataset)
            there = convert_dataset(
                [read_split("s", source)], f"{folder}/there", writer=writer, place_image=link_image
            )
            middle = workshop.register(there.entries["s"], there.class_names)
            back = convert_dataset(
                [read_split("s", middle)],
                f"{folder}/back",
                writer=CocoWriter(),
                place_image=link_image,
            )
            records = workshop.read(back.entries["s"], there.class_names)
        finally:
            workshop.forget()
    result = []
    for record in records:
        name = Path(record["file_name"]).name
        size = (record["height"], record["width"])
        objects = [
            (there.class_names[a["category_id"]], a["bbox"], a.get("difficult", 0))
            for a in record["annotations"]
        ]
        result.append((name, size, objects))
    return sorted(result)


def expected(dataset: dict, *, with_difficult: bool) -> list:
    return sorted(
        (
            name,
            size,
            [
                (
                    dataset["classes"][a["class"]],
                    pytest.approx(a["bbox"], abs=1e-6),
                    a.get("difficult", 0) if with_difficult else 0,
                )
                for a in dataset["annotations"]
                if a["image"] == place
            ],
        )
        for place, (name, size) in enumerate(dataset["images"].items())
    )


@settings(max_examples=10, deadline=None)
@given(dataset=datasets(inside=False))
def test_coco_voc_coco(new_workshop, dataset):
    if dataset["annotations"]:
        found = there_and_back(new_workshop, dataset, VocWriter())
        assert found == expected(dataset, with_difficult=True)


@settings(max_examples=10, deadline=None)
@given(dataset=datasets(inside=True))
def test_coco_yolo_coco(new_workshop, dataset):
    found = there_and_back(new_workshop, dataset, YoloWriter())
    assert found == expected(dataset, with_difficult=False)


@settings(max_examples=8, deadline=None)
@given(dataset=datasets(inside=False))
def test_coco_coco(new_workshop, dataset):
    assert there_and_back(new_workshop, dataset, CocoWriter()) == expected(
        dataset, with_difficult=True
    )
