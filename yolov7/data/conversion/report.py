"""What a conversion did, and what the new format could not keep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass
class ConversionReport:
    """Counts of a conversion.

    Attributes:
        format: name of the written format.
        output: the written folder.
        images: number of images of each split.
        objects: number of objects written of each split.
        class_names: in the order of class indices.
        lost: what was left out or changed -> how often.
        notes: what is kept, but may be in the way of other programs -> how often.
        unused_classes: classes without an object in any split.
        largest_shift: the farthest that an edge of a box moved, in pixels, by rounding or because
            a polygon's hull became the box.
        entries: what a config's `DATASETS.REGISTER` says to use the result, without NAME.
    """

    format: str
    output: str
    images: dict[str, int] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    unused_classes: list[str] = field(default_factory=list)
    largest_shift: float = 0.0
    entries: dict[str, dict[str, str]] = field(default_factory=dict)

    def lose(self, what: str, number: int = 1) -> None:
        """Count something that the new format does not hold."""
        if number:
            self.lost[what] += number

    def note(self, what: str, number: int = 1) -> None:
        """Count something that is worth knowing, and not lost."""
        if number:
            self.notes[what] += number

    def shift(self, before: list[float], after: list[float]) -> None:
        """Note how far the edges of a box (xyxy) moved."""
        moved = max(abs(a - b) for a, b in zip(before, after, strict=True))
        self.largest_shift = max(self.largest_shift, moved)

    def state_dict(self) -> dict[str, Any]:
        """Everything as plain containers, for json."""
        return {**vars(self), "lost": dict(self.lost), "notes": dict(self.notes)}

    def lines(self) -> Iterator[str]:
        """Everything in words."""
        yield f"Wrote {self.output} in the format {self.format}:"
        for split, number in self.images.items():
            yield f"  {split}: {number} images, {self.objects[split]} objects"
        if not self.lost and not self.largest_shift:
            yield "Nothing was lost."
        for what, number in sorted(self.lost.items()):
            yield f"  lost: {number} {what}"
        for what, number in sorted(self.notes.items()):
            yield f"  note: {number} {what}"
        if self.largest_shift:
            yield f"  edges of boxes moved by at most {self.largest_shift:.2g} pixels"
        if self.unused_classes:
            yield f"  classes without an object: {', '.join(self.unused_classes)}"
        yield "To use it:"
        yield "  DATASETS:"
        yield "    REGISTER:"
        for split, entry in self.entries.items():
            named = {"NAME": f"my_{split}", **entry}
            yield f"      - {_flow(named)}"
        yield f"    CLASS_NAMES: {_flow(self.class_names)}"


def _flow(value: Any) -> str:
    """Write a value as YAML in one line."""
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    ).strip()
