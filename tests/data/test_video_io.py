"""Every frame of a video is accounted for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from yolov7.data import video_io
from yolov7.data.video_io import VideoReader, describe_address, write_video
from yolov7.utils.errors import UserError, VideoError

COUNT = 12
SIDE = (48, 64)


def picture(number: int, size=SIDE) -> np.ndarray:
    """Noise, so that frames are long, above a grey field that tells the number."""
    image = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    image[:16] = 20 * number
    return image


def number(image: np.ndarray) -> int:
    return round(image[:12].mean() / 20)


def make(path: Path, codec: str = "mp4v", count: int = COUNT, rate: float = 12.5) -> Path:
    """A video by OpenCV itself, not by what is tested."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIDE[::-1])
    assert writer.isOpened()
    for i in range(count):
        writer.write(picture(i))
    writer.release()
    return path


def damage(path: Path, place: float, length: int) -> None:
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    data[start : start + length] = bytes(length)
    path.write_bytes(data)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG")])
def test_all_frames_in_order_with_their_times(tmp_path, name, codec):
    with VideoReader(make(tmp_path / name, codec)) as reader:
        assert (reader.frame_rate, reader.num_declared) == (12.5, COUNT)
        frames = list(reader)
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [number(frame.image) for frame in frames] == list(range(COUNT))
    assert [frame.time for frame in frames] == pytest.approx([i / 12.5 for i in range(COUNT)])
    assert all(frame.readable and frame.image.shape == (*SIDE, 3) for frame in frames)
    assert (reader.num_frames, reader.num_unreadable, reader.num_missing) == (COUNT, 0, 0)


def test_a_broken_frame_is_black_and_the_others_keep_their_places(tmp_path):
    """Motion JPEG: each frame stands for itself, and one without its marker is refused."""
    path = make(tmp_path / "a.mov", "MJPG")
    data = path.read_bytes()
    starts = [i for i in range(len(data)) if data[i : i + 4] == b"\xff\xd8\xff\xe0"]
    if len(starts) < COUNT:
        starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    assert len(starts) == COUNT
    broken = bytearray(data)
    broken[starts[5] : starts[6]] = bytes(starts[6] - starts[5])
    path.write_bytes(broken)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.readable for frame in frames] == [i != 5 for i in range(COUNT)]
    assert [number(frame.image) for frame in frames if frame.readable] == [
        i for i in range(COUNT) if i != 5
    ]
    assert not frames[5].image.any() and frames[5].time == pytest.approx(5 / 12.5)
    assert (reader.num_frames, reader.num_unreadable, reader.num_missing) == (COUNT, 1, 0)


def test_a_video_that_is_cut_off_tells_what_is_missing(tmp_path):
    path = make(tmp_path / "a.avi", "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoReader(path) as reader:
        frames = list(reader)
    assert 3 <= len(frames) < COUNT and all(frame.readable for frame in frames)
    assert reader.num_missing == COUNT - len(frames)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty file"), (b"no video", "Cannot open the video .*damaged"), (None, "No such file")],
)
def test_what_is_no_video_is_an_error_that_names_it(tmp_path, content, said):
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=said) as caught:
        VideoReader(tmp_path / "a.mp4")
    assert str(tmp_path / "a.mp4") in str(caught.value)


def test_a_video_without_its_end_or_its_frames_is_an_error(tmp_path):
    path = make(tmp_path / "a.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # the table of frames is at the end
    with pytest.raises(VideoError, match=r"Cannot open the video .*a\.mp4"):
        VideoReader(path)
    path = make(tmp_path / "b.mov", "MJPG")
    start, end = path.read_bytes().index(b"mdat") + 4, path.read_bytes().rindex(b"moov") - 4
    damage(path, start / path.stat().st_size, end - start)
    with pytest.raises(VideoError, match=r"No frame of the video .*b\.mov"):
        VideoReader(path)


def test_a_stream_has_the_times_of_the_clock(tmp_path, monkeypatch):
    """FFmpeg reads files by URL as well, which stands in for a stream here."""
    clock = iter(range(100, 200))
    monkeypatch.setattr(video_io.time, "monotonic", lambda: next(clock))
    with VideoReader(f"file://{make(tmp_path / 'a.mp4')}") as reader:
        frames = list(reader)
    assert reader.num_declared == 0 and reader.num_missing == 0
    assert [frame.time for frame in frames] == list(range(1, COUNT + 1))


def test_a_camera_that_is_not_there():
    with pytest.raises(VideoError, match=r"Cannot open camera 99\. Check that the camera"):
        VideoReader(99)


def test_passwords_are_not_told():
    assert describe_address("rtsp://me:secret@host:1/x?y=z") == "rtsp://host:1/x?y=z"
    with pytest.raises(VideoError) as caught:
        VideoReader("nothing://me:secret@host/x")
    assert "secret" not in str(caught.value) and "host/x" in str(caught.value)


@pytest.mark.parametrize("rate", [12.5, 29.97, 30000 / 1001, 60.0])
def test_written_frames_and_their_rate_can_be_read_back(tmp_path, rate):
    path = tmp_path / "folder" / "a.mp4"
    with write_video(path, frame_rate=rate) as writer:
        for i in range(COUNT):
            writer.write(picture(i))
        assert not path.exists()
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(rate, abs=0.01)
    found = [capture.read() for _ in range(COUNT)]
    assert [number(image) for _, image in found] == list(range(COUNT))
    assert not capture.read()[0]
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]


def test_odd_sides_become_even(tmp_path):
    with write_video(tmp_path / "a.mp4", frame_rate=10) as writer:
        writer.write(np.full((47, 63, 3), 200, np.uint8))
    image = cv2.VideoCapture(str(tmp_path / "a.mp4")).read()[1]
    assert image.shape == (48, 64, 3)
    assert image[-1, -1].min() > 190, "the border is repeated"


def test_frames_of_another_size_and_no_frames_are_errors_that_leave_nothing(tmp_path):
    with (
        pytest.raises(UserError, match=r"a\.mp4: frame 1 is 32x48 .*before it are 64x48"),
        write_video(tmp_path / "a.mp4", frame_rate=10) as writer,
    ):
        writer.write(picture(0))
        writer.write(picture(0, (48, 32)))
    with (
        pytest.raises(UserError, match="0 of 0 frames"),
        write_video(tmp_path / "a.mp4", frame_rate=10),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_that_lost_frames_is_noticed(tmp_path, monkeypatch):
    """As on a full disk: OpenCV writes on without a word."""
    with (
        pytest.raises(UserError, match="1 of 3 frames are in the file"),
        write_video(tmp_path / "a.mp4", frame_rate=10) as writer,
    ):
        writer.write(picture(0))
        writer.num_frames += 2
    assert not list(tmp_path.iterdir())
