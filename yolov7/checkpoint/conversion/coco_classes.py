"""Classes of models that count COCO's 80 categories by their ids, which go up to 90."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from yolov7.checkpoint.conversion.renaming import Shapes

logger = logging.getLogger(__name__)

_UNUSED = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
_NUM_IDS = 91
COCO_IDS = tuple(number for number in range(_NUM_IDS) if number not in _UNUSED)
"""The ids of COCO's 80 categories in the order of our classes."""


def reduce_to_used_classes(
    state: Mapping[str, Tensor], shapes: Shapes, names: Sequence[str]
) -> dict[str, Tensor]:
    """Keep the rows of the 80 used ids where a model has 80 classes and the weights all 91 ids.

    Args:
        state: weights under the model's names.
        shapes: the model's entries.
        names: entries whose rows are ids, with or without further rows ("no object") behind them.

    Returns:
        `state` with these entries reduced, if they are such; else as it was.
    """
    reduced = dict(state)
    for name in names:
        if name not in state or name not in shapes:
            continue
        rows = len(state[name])
        kept = [*COCO_IDS, *range(_NUM_IDS, rows)]
        if rows >= _NUM_IDS and shapes[name][0] == len(kept):
            reduced[name] = state[name][torch.tensor(kept)]
            logger.warning(
                "%s: the weights have rows for COCO's ids 0 to 90, the model has 80 classes; the "
                "rows of the 80 ids that are used are kept, in their order.",
                name,
            )
    return reduced
