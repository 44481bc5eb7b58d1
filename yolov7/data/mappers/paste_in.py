"""Paste-in: objects cut out of other pictures by their masks and put into a mosaic (YOLOv7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yolov7.d2 import CfgNode, configurable
from yolov7.data.augmentation import WarpTransform
from yolov7.data.augmentation.warp import scaling, translation
from yolov7.data.formats.record import has_mask
from yolov7.data.mappers.annotations import Annotations, concatenate
from yolov7.data.mappers.mosaic_maker import Collage, MosaicMaker
from yolov7.data.mappers.partners import PartnerPool
from yolov7.ops import elementwise_ioa
from yolov7.utils.errors import DatasetError

# Sides of the places to fill, at most, as fractions of the picture's.
_FRACTIONS = (0.75,) * 2 + (0.5,) * 4 + (0.25,) * 4 + (0.125,) * 4 + (0.0625,) * 6
# Pictures that are looked through together, and how often, until there are enough objects.
_GROUP = 4
_MOST_GROUPS = 16

# A record and one of its annotations.
Candidate = tuple[Mapping[str, Any], Mapping[str, Any]]
# xyxy, whole pixels.
Place = tuple[int, int, int, int]


class PasteIn:
    """Fills random places of a mosaic with objects of other pictures, the larger places first.

    Where a place lies, its two sides (uniform up to a fraction of the picture's) and whether it is
    used at all are random. The object is resized to fit, keeps its aspect, lies at the place's top
    left, and its label is its resized box. Only its mask's pixels are pasted, over what is there;
    objects with masks lose the pixels that are covered, and keep their boxes.

    Differences from the authors' program: candidates are half of the objects (rounded up) of
    random records, four records at a time, not of mosaics of those, so that only the pictures of
    pasted objects are decoded, and each is resized and placed by a single warp from its own pixels;
    places lie wholly inside the picture; colours are shifted after pasting, with the mosaic's;
    only mosaics are filled, not single pictures.

    Args:
        pool: of the pictures that objects come from; at least one has an object with a mask.
        probability: that anything is pasted.
        fractions: largest sides of the places, one a place, as fractions of the picture's sides.
        num_candidates: records are drawn until there are so many objects, at most 64 records, or
            four without any.
        skip_probability: that a place is left as it is.
        max_covered: a place must cover less than this share of each box that is there.
        min_place_side: both sides of a place must be longer, in pixels.
        min_box_side: both sides of a resized object's box must be longer, in pixels.
        min_pixels: its mask must have more.

    Raises:
        DatasetError: no object of any record has a mask.
    """

    @configurable
    def __init__(
        self,
        *,
        pool: PartnerPool,
        probability: float,
        fractions: Sequence[float] = _FRACTIONS,
        num_candidates: int = 30,
        skip_probability: float = 0.2,
        max_covered: float = 0.3,
        min_place_side: float = 20.0,
        min_box_side: float = 10.0,
        min_pixels: int = 60,
    ) -> None:
        if not any(has_mask(a) for record in pool.records for a in record["annotations"]):
            raise DatasetError(
                "INPUT.MOSAIC_AND_MIXUP.PASTE_IN_PROBABILITY is above 0, but no object of "
                "DATASETS.TRAIN has a mask to be cut out by. Set it to 0, or give annotations a "
                "'segmentation'."
            )
        self.pool = pool
        self.probability = probability
        self.fractions = tuple(fractions)
        self.num_candidates = num_candidates
        self.skip_probability = skip_probability
        self.max_covered = max_covered
        self.min_place_side = min_place_side
        self.min_box_side = min_box_side
        self.min_pixels = min_pixels

    @classmethod
    def from_config(cls, cfg: CfgNode, *, maker: MosaicMaker) -> dict[str, Any]:
        """The authors' numbers, with INPUT.MOSAIC_AND_MIXUP.PASTE_IN_PROBABILITY."""
        probability = cfg.INPUT.MOSAIC_AND_MIXUP.PASTE_IN_PROBABILITY
        return {"pool": maker.pool, "probability": probability}

    def __call__(
        self, collage: Collage, size: tuple[int, int], rng: np.random.Generator
    ) -> Collage:
        """Perhaps paste; see `CollageStep`."""
        if rng.random() >= self.probability:
            return collage
        candidates = self._draw_candidates(rng)
        if not candidates:
            return collage
        image, annotations = collage.image.copy(), collage.annotations
        decoded: dict[str, np.ndarray] = {}
        draws = rng.random((len(self.fractions), 6))
        for fraction, (use, *place_draws, choice) in zip(self.fractions, draws, strict=True):
            place = _place(place_draws, fraction, size)
            if use < self.skip_probability or not self._is_free(place, annotations):
                continue
            patch = self._cut_out(candidates[int(choice * len(candidates))], place)
            if patch is None:
                continue
            file = patch.record["file_name"]
            if file not in decoded:
                decoded[file] = self.pool.read_image(patch.record)
            covered = patch.paint(image, decoded[file])
            masks = [covered] if self.pool.with_masks else None
            pasted = Annotations(patch.box[None], patch.classes, masks)
            annotations = concatenate([annotations.behind(covered), pasted])
        new_sources = [file for file in decoded if file not in collage.sources]
        return Collage(image, annotations, [*collage.sources, *new_sources])

    def _draw_candidates(self, rng: np.random.Generator) -> list[Candidate]:
        """Records and one object with a mask of each; nothing is decoded for it."""
        candidates: list[Candidate] = []
        for _ in range(_MOST_GROUPS):
            found = [
                (record, annotation)
                for record in self.pool.draw(rng, _GROUP)
                for annotation in record["annotations"]
                if has_mask(annotation)
            ]
            chosen = rng.permutation(len(found))[: (len(found) + 1) // 2]
            candidates.extend(found[int(index)] for index in chosen)
            if not candidates or len(candidates) >= self.num_candidates:
                break
        return candidates

    def _is_free(self, place: Place, annotations: Annotations) -> bool:
        x0, y0, x1, y1 = place
        if min(x1 - x0, y1 - y0) <= self.min_place_side:
            return False
        boxes = torch.from_numpy(annotations.boxes)
        covered = elementwise_ioa(boxes, torch.tensor(place, dtype=boxes.dtype))
        return bool((covered < self.max_covered).all())

    def _cut_out(self, candidate: Candidate, place: Place) -> _Patch | None:
        """The candidate, fitted into a place; None if it is too small there."""
        record, annotation = candidate
        found = Annotations.from_record({**record, "annotations": [annotation]}, with_masks=True)
        if not len(found):  # its box has no area inside the picture
            return None
        left, top, right, bottom = place
        x0, y0, x1, y1 = box = tuple(found.boxes[0].tolist())
        scale = min((right - left) / (x1 - x0), (bottom - top) / (y1 - y0))
        width, height = scale * (x1 - x0), scale * (y1 - y0)
        if min(width, height) <= self.min_box_side:
            return None
        warp = WarpTransform(
            matrix=scaling(scale, scale) @ translation(-x0, -y0),
            source_size=(record["height"], record["width"]),
            size=(min(math.ceil(height), bottom - top), min(math.ceil(width), right - left)),
            crop=_with_margin(box, record),
        )
        mask = found.cropped(box).transformed(warp).bitmaps(warp.size)[0]
        if mask.sum() <= self.min_pixels:
            return None
        box_there = np.array([left, top, left + width, top + height])
        return _Patch(record, warp, mask, box_there, found.classes)


@dataclass(frozen=True)
class _Patch:
    """An object, ready to be pasted.

    Attributes:
        record: of its picture.
        warp: from that picture to the patch.
        mask: (h, w) bool, what of the patch is pasted.
        box: (4,) xyxy in the mosaic; the patch begins at its top left, a whole pixel.
        classes: (1,) int64.
    """

    record: Mapping[str, Any]
    warp: WarpTransform
    mask: np.ndarray
    box: np.ndarray
    classes: np.ndarray

    def paint(self, canvas: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Paste onto an (H, W, 3) canvas, which is changed; (H, W) bool: the pixels covered."""
        left, top = self.box[:2].astype(int)
        height, width = self.mask.shape
        region = np.s_[top : top + height, left : left + width]
        np.copyto(canvas[region], self.warp.apply_image(image), where=self.mask[..., None])
        covered = np.zeros(canvas.shape[:2], dtype=bool)
        covered[region] = self.mask
        return covered


def _place(draws: Sequence[float], fraction: float, size: tuple[int, int]) -> Place:
    """An xyxy place of whole pixels from four numbers in [0, 1): sides, then position."""
    height = int(draws[0] * fraction * size[0]) + 1
    width = int(draws[1] * fraction * size[1]) + 1
    top = int(draws[2] * (size[0] - height + 1))
    left = int(draws[3] * (size[1] - width + 1))
    return left, top, left + width, top + height


def _with_margin(
    box: tuple[float, float, float, float], record: Mapping[str, Any]
) -> tuple[float, float, float, float]:
    """A box and two pixels around it, inside the picture: the mask decides what is shown."""
    x0, y0, x1, y1 = box
    right, bottom = min(x1 + 2, record["width"]), min(y1 + 2, record["height"])
    return max(x0 - 2, 0), max(y0 - 2, 0), right, bottom
