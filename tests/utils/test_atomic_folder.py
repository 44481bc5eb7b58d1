"""A folder is complete or absent."""

from __future__ import annotations

import os
from pathlib import Path

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


def test_a_full_folder_is_replaced_when_asked_for(tmp_path):
    target = tmp_path / "folder"
    for content in ("old", "new"):
        with atomic_folder(target, replace=True) as folder:
            (folder / content).write_text(content)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "new"]
    with pytest.raises(KeyError), atomic_folder(target, replace=True) as folder:
        (folder / "newest").write_text("a")
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "new"]
    file = tmp_path / "file"
    file.write_text("a")
    with pytest.raises(UserError, match="file exists"), atomic_folder(file, replace=True):
        pass


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    rename = Path.rename

    def refuse(self, to):
        if self.suffix == ".tmp":
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UserError, match="No space left"), atomic_folder(target, replace=True):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


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
