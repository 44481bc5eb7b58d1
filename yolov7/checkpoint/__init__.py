"""Checkpoints: written atomically, loaded without running code, reported entry by entry."""

from yolov7.checkpoint.checkpointer import (
    Checkpointer,
    load_checkpoint,
    remove_temporaries,
    save_checkpoint,
)
from yolov7.checkpoint.rng import get_rng_state, set_rng_state
from yolov7.checkpoint.weights import LoadReport, load_weights, select_weights

__all__ = [
    "Checkpointer",
    "LoadReport",
    "get_rng_state",
    "load_checkpoint",
    "load_weights",
    "remove_temporaries",
    "save_checkpoint",
    "select_weights",
    "set_rng_state",
]
