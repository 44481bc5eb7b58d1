"""Frames, masks and grids, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from yolov7.visualization.draw import (
    check_image,
    draw_boxes,
    draw_masks,
    font_size,
    image_grid,
    line_thickness,
)

RED, BLUE = (0, 0, 255), (255, 0, 0)


@pytest.fixture
def grey() -> np.ndarray:
    image = np.full((12, 20, 3), 100, np.uint8)
    image.setflags(write=False)  # drawing on the argument fails
    return image


def changed(drawn: np.ndarray, color: tuple[int, int, int]) -> set[tuple[int, int]]:
    """The (x, y) that have a colour."""
    return {(int(x), int(y)) for y, x in np.argwhere((drawn == color).all(axis=2))}


def test_a_frame_covers_the_outermost_pixels_of_its_box(grey):
    drawn = draw_boxes(grey, np.array([[2, 3, 6, 7]]), colors=[RED])
    expected = {(x, y) for x in range(2, 6) for y in range(3, 7)}
    expected -= {(x, y) for x in range(3, 5) for y in range(4, 6)}
    assert changed(drawn, RED) == expected
    assert (drawn == 100).all(axis=2).sum() == 12 * 20 - len(expected)


def test_only_the_part_inside_the_image_is_drawn(grey):
    drawn = draw_boxes(grey, np.array([[-5, 9, 3, 40]]), colors=[RED])
    assert changed(drawn, RED) == {(0, 9), (1, 9), (2, 9), (2, 10), (2, 11)}
    outside = np.array([[-9, -9, -2, -2], [25, 2, 30, 9], [2, 12, 6, 20]])
    names = ["a", "b", "c"]
    np.testing.assert_array_equal(draw_boxes(grey, outside, colors=[RED] * 3, labels=names), grey)


def test_a_box_without_area_is_still_seen(grey):
    assert changed(draw_boxes(grey, np.array([[4, 4, 4, 4]]), colors=[RED]), RED) == {(4, 4)}


def test_later_boxes_lie_on_top(grey):
    drawn = draw_boxes(grey, np.array([[2, 2, 8, 8], [2, 2, 8, 8]]), colors=[RED, BLUE])
    assert not changed(drawn, RED) and changed(drawn, BLUE)


def test_no_objects_give_a_copy(grey):
    for drawn in (
        draw_boxes(grey, np.zeros((0, 4)), colors=[], labels=[]),
        draw_boxes(grey, [], colors=[]),
        draw_masks(grey, np.zeros((0, 12, 20), bool), colors=[]),
    ):
        np.testing.assert_array_equal(drawn, grey)
        assert drawn is not grey and drawn.flags.writeable


def test_labels_stay_inside_and_have_the_colour_of_their_class():
    image = np.full((60, 80, 3), 100, np.uint8)
    for box in ([70, 2, 79, 50], [0, 55, 10, 60], [-5, -5, 90, 90], [30, 30, 50, 50]):
        plain = draw_boxes(image, np.array([box]), colors=[RED])
        drawn = draw_boxes(image, np.array([box]), colors=[RED], labels=["digit 0.93"])
        assert drawn.shape == image.shape
        tag = (drawn != plain).any(axis=2)
        assert tag.sum() > 100
        assert ((drawn == RED).all(axis=2) & tag).sum() > 50
    same = draw_boxes(image, np.array([box]), colors=[RED], labels=[""])
    np.testing.assert_array_equal(same, plain)


def test_a_label_fits_a_tiny_image():
    image = np.zeros((5, 4, 3), np.uint8)
    assert draw_boxes(image, [[0, 0, 4, 5]], colors=[RED], labels=["person"]).shape == (5, 4, 3)


def test_lines_and_letters_grow_with_the_picture():
    sizes = [(160, 160), (640, 640), (1280, 1280), (2160, 3840)]
    assert [line_thickness(size) for size in sizes] == [1, 2, 4, 10]
    letters = [font_size(size) for size in sizes]
    assert letters == sorted(letters) and letters[0] == 9 and letters[1] == 13


def test_masks_are_tinted_with_a_full_rim(grey):
    mask = np.zeros((1, 12, 20), bool)
    mask[0, 2:7, 3:8] = True
    drawn = draw_masks(grey, mask, colors=[(200, 100, 0)], alpha=0.25)
    np.testing.assert_array_equal(drawn[4, 5], [125, 100, 75])
    inner = (drawn == (125, 100, 75)).all(axis=2)
    rim = (drawn == (200, 100, 0)).all(axis=2)
    assert (inner.sum(), rim.sum()) == (9, 16)
    np.testing.assert_array_equal(inner | rim, mask[0])
    np.testing.assert_array_equal(drawn[~mask[0]], grey[~mask[0]])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), "GRAY2BGR"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "uint8.*float32"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        ([[1]], "NumPy array, got list"),
    ],
)
def test_other_images_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        check_image(image)
    with pytest.raises(ValueError, match=message):
        draw_boxes(image, [[0, 0, 1, 1]], colors=[RED])


def test_wrong_arguments_are_refused(grey):
    box = np.array([[1, 1, 4, 4]])
    with pytest.raises(ValueError, match=r"1 colors.*got 2"):
        draw_boxes(grey, box, colors=[RED, RED])
    with pytest.raises(ValueError, match=r"1 labels.*got 0"):
        draw_boxes(grey, box, colors=[RED], labels=[])
    with pytest.raises(ValueError, match="finite"):
        draw_boxes(grey, [[0, 0, np.nan, 4]], colors=[RED])
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        draw_boxes(grey, [[0, 0, 4]], colors=[RED])
    with pytest.raises(ValueError, match=r"bool \(N, 12, 20\)"):
        draw_masks(grey, np.zeros((1, 12, 20), np.uint8), colors=[RED])
    with pytest.raises(ValueError, match="alpha"):
        draw_masks(grey, np.zeros((1, 12, 20), bool), colors=[RED], alpha=2)


def test_grid_centres_pictures_in_cells():
    first, second = np.full((4, 6, 3), 10, np.uint8), np.full((2, 2, 3), 20, np.uint8)
    grid = image_grid([first, second, first], columns=2, gap=1)
    assert grid.shape == (9, 13, 3)
    assert (grid[0:4, 0:6] == 10).all() and (grid[5:9, 0:6] == 10).all()
    assert (grid[1:3, 9:11] == 20).all()
    assert (grid == 255).all(axis=2).sum() == 9 * 13 - 24 - 24 - 4
    assert image_grid([first]).shape == first.shape
    assert image_grid([first] * 5, gap=0).shape == (8, 18, 3)
    with pytest.raises(ValueError, match="at least one"):
        image_grid([])
