"""The pictures that samples are put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolov7.data.image_io import read_record_image
from yolov7.data.mappers.annotations import Annotations
from yolov7.data.mappers.box_rule import DEFAULT_RULE, BoxRule


class PartnerPool:
    """All pictures of training, from which partners are drawn, and how they are read.

    Args:
        records: with `height` and `width`.
        image_format: "BGR" or "RGB".
        box_rule: which boxes are kept, in pixels of the result.
        with_masks: read the objects' masks, too.
    """

    def __init__(
        self,
        *,
        records: Sequence[Mapping[str, Any]],
        image_format: str = "BGR",
        box_rule: BoxRule = DEFAULT_RULE,
        with_masks: bool = False,
    ) -> None:
        self.records = records
        self.image_format = image_format
        self.box_rule = box_rule
        self.with_masks = with_masks

    def draw(self, rng: np.random.Generator, count: int) -> list[Mapping[str, Any]]:
        """Records, drawn uniformly, with replacement."""
        return [self.records[int(index)] for index in rng.integers(len(self.records), size=count)]

    def read_image(self, record: Mapping[str, Any]) -> np.ndarray:
        """A record's picture, (h, w, 3) uint8."""
        return read_record_image(record, self.image_format)

    def read_objects(self, record: Mapping[str, Any]) -> Annotations:
        """A record's objects, without crowds."""
        return Annotations.from_record(record, with_masks=self.with_masks)

    def inside(self, annotations: Annotations, size: tuple[int, int]) -> Annotations:
        """What of the objects is inside a result of `size` (height, width), by the rule."""
        return annotations.cropped((0, 0, size[1], size[0]), rule=self.box_rule)
