import logging
import pathlib
import resource
import subprocess
import sys
import textwrap

import pytest
import torch

from yolov7.checkpoint import (
    Checkpointer,
    load_checkpoint,
    remove_temporaries,
    save_checkpoint,
)
from yolov7.utils.errors import UserError, WeightsError


def test_round_trip_keeps_every_bit(tmp_path):
    saved = {"model": {"w": torch.randn(3, 4)}, "iteration": 7, "hooks": {"a": [1, 2.5, None]}}
    save_checkpoint(tmp_path / "a.pth", saved)
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert torch.equal(loaded["model"]["w"], saved["model"]["w"])
    assert loaded["iteration"] == 7
    assert loaded["hooks"] == {"a": [1, 2.5, None]}


def test_missing_file_names_it_and_addresses_are_not_fetched(tmp_path):
    with pytest.raises(WeightsError, match=r"nothing\.pth does not exist"):
        load_checkpoint(tmp_path / "nothing.pth")
    with pytest.raises(WeightsError, match="Nothing is downloaded"):
        load_checkpoint("https://example.org/model.pth")


@pytest.mark.parametrize("kept", [0, 1, 30, 200, -1])
def test_damaged_file(tmp_path, kept):
    path = tmp_path / "a.pth"
    save_checkpoint(path, {"model": {"w": torch.randn(30)}})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"a\.pth is damaged"):
        load_checkpoint(path)


def test_flipped_byte_in_the_middle_is_noticed(tmp_path):
    path = tmp_path / "a.pth"
    save_checkpoint(path, {"model": {"w": torch.zeros(3000)}})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        load_checkpoint(path)


def test_code_in_a_file_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (pathlib.Path.touch, (tmp_path / "ran",))

    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="refuses"):
        load_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_not_a_dict(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"expected a dict .* got a list"):
        load_checkpoint(tmp_path / "list.pth")


def test_rotation_keeps_the_newest_and_leaves_later_ones_alone(tmp_path):
    (tmp_path / "model_9999999.pth").write_bytes(b"of an older run")
    checkpointer = Checkpointer(tmp_path, keep=2)
    for iteration in (9, 19, 29):
        checkpointer.save_numbered(iteration, {"iteration": iteration})
        assert checkpointer.last().name == f"model_{iteration:07d}.pth"
    checkpointer.save("model_final", {"iteration": 29})
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == [
        "model_0000019.pth", "model_0000029.pth", "model_9999999.pth", "model_final.pth",
    ]  # fmt: skip
    assert checkpointer.last() == tmp_path / "model_final.pth"


def test_rotation_continues_after_a_restart(tmp_path):
    for iteration in (9, 19, 29):
        Checkpointer(tmp_path, keep=2).save_numbered(iteration, {})
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [
        "model_0000019.pth", "model_0000029.pth",
    ]  # fmt: skip


def test_failing_write_keeps_the_last_checkpoint(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=1)
    checkpointer.save_numbered(9, {"iteration": 9})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        checkpointer.save_numbered(19, {"broken": lambda: None})
    assert load_checkpoint(checkpointer.last())["iteration"] == 9
    assert [path.name for path in tmp_path.glob("*.pth*")] == ["model_0000009.pth"]


@pytest.mark.parametrize("limit", [10, 3000, 100_000])
def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(tmp_path, limit):
    """The operating system refuses to write on, at the start or in the midst of the weights."""
    checkpointer = Checkpointer(tmp_path, keep=1)
    checkpointer.save("model_final", {"iteration": 9})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(UserError, match=r"Could not write .*model_final\.pth.*is unchanged"):
            checkpointer.save("model_final", {"w": torch.zeros(100_000), "iteration": 19})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_checkpoint(checkpointer.last())["iteration"] == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "last_checkpoint", "model_final.pth",
    ]  # fmt: skip


def test_last_of_an_empty_folder_and_of_a_lost_file(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    assert checkpointer.last() is None
    (tmp_path / "last_checkpoint").write_text("model_0000009.pth")
    with pytest.raises(WeightsError, match=r"names model_0000009\.pth, which does not exist"):
        checkpointer.last()


def test_last_without_its_name_as_after_a_kill_between_the_two_files(tmp_path, caplog):
    checkpointer = Checkpointer(tmp_path)
    for name in ("model_best", "other"):
        save_checkpoint(tmp_path / f"{name}.pth", {})
    assert checkpointer.last() is None
    for name in ("model_final", "model_0000009", "model_10000000"):
        save_checkpoint(tmp_path / f"{name}.pth", {})
        with caplog.at_level(logging.INFO, logger="yolov7"):
            assert checkpointer.last() == tmp_path / f"{name}.pth"
        assert f"last_checkpoint is missing; {name}.pth is there and taken" in caplog.text


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        save_checkpoint(tmp_path / "file" / "a.pth", {})


@pytest.mark.slow
def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "model_0000001.pth"
    save_checkpoint(path, {"iteration": 1})
    program = f"""
        import os, signal, torch
        from yolov7.utils import atomic
        atomic.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        from yolov7.checkpoint import save_checkpoint
        save_checkpoint({str(path)!r}, {{"iteration": 2}})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -9
    assert load_checkpoint(path)["iteration"] == 1
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    remove_temporaries(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
