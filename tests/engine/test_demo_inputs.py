"""What the user names, and what its results are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolov7.engine.demo_inputs import DemoInputs, find_inputs, output_names
from yolov7.utils.errors import UserError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_files_folders_and_patterns(tmp_path, monkeypatch):
    a, b = touch(tmp_path / "in" / "b.png"), touch(tmp_path / "in" / "a.JPG")
    film = touch(tmp_path / "in" / "c.MOV")
    deep = touch(tmp_path / "in" / "deep" / "c.png")
    touch(tmp_path / "in" / "notes.txt")
    folder = str(tmp_path / "in")
    assert find_inputs([folder]) == DemoInputs([b, a], [film])
    assert find_inputs([f"{folder}/*"]) == DemoInputs([b, a], [film])
    assert find_inputs([f"{folder}/**/*.png"]) == DemoInputs([a, deep])
    assert find_inputs([str(deep), folder, str(a)]).images == [deep, b, a], "each once"
    assert find_inputs([f"{folder}/notes.txt"]).images == [tmp_path / "in" / "notes.txt"]
    monkeypatch.chdir(tmp_path)
    assert find_inputs(["in/b.png"]).images == [Path("in/b.png")], "names stay as they were given"


def test_streams_and_cameras(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "rtsp://host:8554/door"
    assert find_inputs([url, "2", "2"], [0]) == DemoInputs([], [url, 2, 0])
    touch(tmp_path / "2")
    assert find_inputs(["2"]) == DemoInputs([Path("2")]), "a file of that name goes first"


@pytest.mark.parametrize(
    "name", ["a#1=b.png", "with space.png", "Bär 画像.jpg", "a[1].png", "%d.png"]
)
def test_odd_names_are_files_and_no_patterns(tmp_path, name):
    file = touch(tmp_path / name)
    touch(tmp_path / "a1.png")
    assert find_inputs([str(file)]).images == [file]


def test_texts_without_an_input_say_what_was_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"no file or folder .*missing"):
        find_inputs([str(tmp_path / "missing")])
    with pytest.raises(UserError, match=r"\*\.jpg.*\*\.mp4.*subfolders"):
        find_inputs([str(tmp_path)])
    touch(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"'rtsp://\[camera/1' is no valid URL"):
        find_inputs(["rtsp://[camera/1"])
    with pytest.raises(UserError, match=r"match .*1 names fit the pattern"):
        find_inputs([str(tmp_path / "*.txt")])


def test_names_of_pictures(tmp_path):
    def names(*files):
        return [n.as_posix() for n in output_names(DemoInputs([tmp_path / f for f in files]))[0]]

    assert names("x/a.jpg", "y/b.png", "y/b.jpg") == ["a.jpg", "b.png", "b.jpg"]
    assert names("x/a.jpg", "y/a.jpg", "y/z/b.jpg") == ["x/a.jpg", "y/a.jpg", "y/z/b.jpg"]
    assert names("x/A.jpg", "y/a.jpg") == ["x/A.jpg", "y/a.jpg"]
    assert names("x/a.gif") == ["a.gif.png"]


def test_names_of_videos(tmp_path):
    def names(*videos):
        return [name.as_posix() for name in output_names(DemoInputs([], list(videos)))[1]]

    assert names(tmp_path / "a.mp4", tmp_path / "a.avi") == ["a.mp4", "a.avi.mp4"]
    assert names(tmp_path / "x/a.mov", tmp_path / "y/a.mov") == ["x/a.mov.mp4", "y/a.mov.mp4"]
    assert names(0, "rtsp://me:secret@host:8554/front door?x=1") == [
        "camera_0.mp4",
        "host_8554_front_door_x_1.mp4",
    ]
    with pytest.raises(UserError, match=r"both be written to host_a\.mp4"):
        names("http://host/a", "https://host/a")


def test_pictures_and_videos_share_the_folder(tmp_path):
    images, videos = output_names(DemoInputs([tmp_path / "x/a.png"], [tmp_path / "y/a.mp4"]))
    assert (images, videos) == ([Path("a.png")], [Path("a.mp4")])
