from __future__ import annotations

import logging

from yolov7.config import get_config
from yolov7.engine.learning_rate_notice import note_learning_rate


def note(caplog, **solver):
    cfg = get_config()
    for key, value in solver.items():
        cfg.SOLVER[key] = value
    with caplog.at_level(logging.INFO):
        note_learning_rate(cfg)
    return [record.getMessage() for record in caplog.records]


def test_by_how_much_the_rate_would_change(caplog):
    (message,) = note(
        caplog, OPTIMIZER="SGD", BASE_LR=0.01, LR_IMS_PER_BATCH=64, IMS_PER_BATCH=16, MAX_ITER=1000
    )
    assert "BASE_LR would be 0.0025 (0.25 times)" in message
    assert "4000 iterations would see as many pictures as 1000" in message
    assert "Nothing is rescaled" in message and "SOLVER.LR_IMS_PER_BATCH 16" in message


def test_adams_rate_grows_with_the_root(caplog):
    (message,) = note(
        caplog, OPTIMIZER="AdamW", BASE_LR=1e-4, LR_IMS_PER_BATCH=16, IMS_PER_BATCH=64
    )
    assert "BASE_LR would be 0.0002 (2 times)" in message and "square root" in message


def test_silent_where_the_batch_is_the_recipes_or_not_known(caplog):
    assert note(caplog, LR_IMS_PER_BATCH=16, IMS_PER_BATCH=16) == []
    assert note(caplog, LR_IMS_PER_BATCH=0, IMS_PER_BATCH=16) == []
