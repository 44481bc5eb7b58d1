"""A folder is complete or absent."""

from __future__ import annotations

import os

import pytest

from yolov7.utils.atomic_folder import atomic_folder
from yolov7.utils.errors import UserError


def test_the_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder"
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("a")
        assert not target.exists()
    assert (target / "sub" / "file").read_text() == "a"
    assert os.listdir(target.parent) == ["folder"]


def test_nothing_is_left_of_a_failure(tmp_path):
    def fail(error):
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text("a")
            raise error

    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    with pytest.raises(UserError, match=r"folder: No space left.*Nothing is left"):
        fail(OSError(28, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_only_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as folder:
        (folder / "file").write_text("a")
    with pytest.raises(UserError, match="empty exists already"), atomic_folder(tmp_path / "empty"):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="link exists already"), atomic_folder(tmp_path / "link"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["empty", "link"]
