"""`DatasetEvaluator`: how predictions on a dataset become numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class DatasetEvaluator:
    """Collects predictions batch by batch and evaluates them in the end."""

    def reset(self) -> None:
        """Forget everything collected so far."""

    def process(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Collect one batch: what the model was given and what it returned, image by image."""

    def evaluate(self) -> dict[str, Any] | None:
        """Return results as {task: {metric: value}}, for example {"bbox": {"AP": 40.2}}."""
