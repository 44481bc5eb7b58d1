"""A log on a full disk."""

from __future__ import annotations

import errno
import logging
from types import SimpleNamespace

import pytest

from yolov7.utils.logging import setup_logger


@pytest.fixture
def log_file(tmp_path):
    """The handler of a log file."""
    logger = setup_logger(tmp_path, rank=1, name="yolov7_test_of_the_log")
    (handler,) = (h for h in logger.handlers if isinstance(h, logging.FileHandler))
    yield handler
    logger.removeHandler(handler)
    handler.close()


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("name", logging.INFO, "file.py", 1, message, args, None)


def test_a_full_disk_is_said_once(log_file, tmp_path, monkeypatch, capsys):
    def fail(text):
        raise OSError(errno.ENOSPC, "No space left on device")

    log_file.handle(record("first"))
    with monkeypatch.context() as patch:
        patch.setattr(log_file, "stream", SimpleNamespace(write=fail))
        log_file.handle(record("second"))
        log_file.handle(record("third"))
    log_file.handle(record("fourth"))
    assert capsys.readouterr().err == (
        f"The log {tmp_path / 'log.txt.rank1'} is not written: No space left on device.\n"
    )
    lines = (tmp_path / "log.txt.rank1").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["first", "fourth"]


def test_a_mistake_in_a_message_still_shows(log_file, capsys):
    log_file.handle(record("%d", "not a number"))
    assert "Logging error" in capsys.readouterr().err
