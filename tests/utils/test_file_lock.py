"""The lock on a folder: against other processes, gone with a kill, not held by children."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from yolov7.utils import file_lock
from yolov7.utils.errors import UserError
from yolov7.utils.file_lock import FolderInUse, locked_folder

pytestmark = pytest.mark.skipif(file_lock.fcntl is None, reason="no fcntl on this system")

HOLD = """
import sys, time
from yolov7.utils.file_lock import locked_folder
with locked_folder(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_other_process_is_named_and_its_kill_frees_the_folder(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(file_lock, "_SECONDS_TO_WAIT", 0.2)
    expected = rf"{re.escape(str(tmp_path))} is in use by process {holder.pid} on \S+, which star"
    with pytest.raises(FolderInUse, match=expected), locked_folder(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert str(holder.pid) in (tmp_path / ".lock").read_text()
    with locked_folder(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_about_to_end_is_waited_for(holder, tmp_path):
    started = time.monotonic()
    os.kill(holder.pid, signal.SIGKILL)
    with locked_folder(tmp_path):
        assert time.monotonic() - started < 2


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_a_child_that_outlives_its_parent_does_not_hold_it(tmp_path):
    """As the workers of a loader do for some seconds."""
    context = multiprocessing.get_context("fork")
    with locked_folder(tmp_path):
        child = context.Process(target=time.sleep, args=(30,))
        child.start()
    done = subprocess.run(
        [sys.executable, "-c", HOLD.replace("60", "0"), str(tmp_path)], timeout=60, check=False
    )
    child.kill()
    child.join()
    assert done.returncode == 0


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"Cannot write .*OUTPUT_DIR"),
        locked_folder(tmp_path / "file" / "a"),
    ):
        pass


def test_a_file_system_without_locks_is_named_and_used(tmp_path, monkeypatch, caplog):
    def fail(descriptor, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(file_lock.fcntl, "lockf", fail)
    with locked_folder(tmp_path):
        pass
    assert "no locks (No locks available)" in caplog.text
