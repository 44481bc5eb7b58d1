"""Ground truth and detections side by side."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolov7.utils.errors import UserError
from yolov7.visualization import (
    JudgedBoxes,
    Verdict,
    Visualizer,
    add_caption,
    comparison,
    draw_comparison,
    write_picture,
)

BLACK = np.zeros((200, 200, 3), np.uint8)


def bgr(verdict: Verdict) -> list[int]:
    return list(verdict.value)[::-1]


def test_both_sides_show_their_verdicts_in_colour_and_number(monkeypatch):
    captions = []
    monkeypatch.setattr(
        comparison, "add_caption", lambda image, text: captions.append(text) or image
    )
    boxes = np.array([[10, 40, 50, 80], [60, 40, 100, 80], [110, 40, 150, 80]], float)
    truth = JudgedBoxes(boxes, ["", "", ""], [Verdict.RIGHT, Verdict.WRONG, Verdict.IGNORED])
    found = JudgedBoxes(boxes[:1], [""], [Verdict.WRONG])
    picture = draw_comparison(Visualizer(), BLACK, truth, found)
    assert picture.shape == (200, 404, 3)
    assert picture[60, 10].tolist() == bgr(Verdict.RIGHT)
    assert picture[60, 60].tolist() == bgr(Verdict.WRONG)
    assert picture[60, 110].tolist() == bgr(Verdict.IGNORED)
    assert picture[60, 204 + 10].tolist() == bgr(Verdict.WRONG)
    assert picture[60, 204 + 60].tolist() == [0, 0, 0]
    assert captions == [
        "objects: 1 found, 1 missed, 1 do not count",
        "detections: 0 right, 1 wrong",
    ]


def test_nothing_on_either_side():
    nothing = JudgedBoxes(np.zeros((0, 4)), [], [])
    assert draw_comparison(Visualizer(), BLACK, nothing, nothing).shape[1] == 404


def test_a_caption_is_black_on_a_white_strip():
    captioned = add_caption(BLACK, "12 found")
    height = captioned.shape[0] - 200
    assert height > 8 and captioned.shape[1:] == (200, 3)
    strip = captioned[:height]
    assert strip[:, -1].min() == 255 and strip.min() < 60
    assert (captioned[height:] == BLACK).all()
    assert add_caption(BLACK, "long " * 100).shape == captioned.shape


def test_pictures_are_written_in_the_format_of_their_name(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write_picture(tmp_path / "new" / "a.png", picture)
    assert (cv2.imread(str(tmp_path / "new" / "a.png")) == picture).all()
    write_picture(tmp_path / "a.jpg", picture)
    assert (tmp_path / "a.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_formats_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"OpenCV cannot write .*a\.what"):
        write_picture(tmp_path / "a.what", BLACK)
    with pytest.raises(UserError, match=r"OpenCV cannot write"):
        write_picture(tmp_path / "a.jpg", np.zeros((1, 70000, 3), np.uint8))
    assert not list(tmp_path.iterdir())
