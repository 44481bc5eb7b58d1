"""Paste-in: what is cut out of synthetic pictures, where it goes, and what it covers."""

from __future__ import annotations

import cv2
import numpy as np
import pycocotools.mask as coco_mask
import pytest

from yolov7.d2 import BoxMode
from yolov7.data.mappers import Annotations
from yolov7.data.mappers.mosaic_maker import Collage
from yolov7.data.mappers.partners import PartnerPool
from yolov7.data.mappers.paste_in import PasteIn
from yolov7.utils.errors import DatasetError

SIZE = (200, 300)
RED, GREEN = (0, 0, 250), (0, 250, 0)
# A triangle with its right angle at the top left: 60 wide, 40 high.
TRIANGLE = [20.0, 10.0, 80.0, 10.0, 20.0, 50.0]


def write_record(file, annotations, color=RED):
    """A picture of 120 by 90 with a triangle on green: nothing but the triangle is `color`."""
    image = np.full((90, 120, 3), GREEN, np.uint8)
    cv2.fillPoly(image, [np.array(TRIANGLE).reshape(-1, 2).astype(np.int32)], color)
    cv2.imwrite(str(file), image)
    return {
        "file_name": str(file), "height": 90, "width": 120, "image_id": 1,
        "annotations": annotations,
    }  # fmt: skip


def annotation(category_id=5, **more):
    return {
        "bbox": [20.0, 10.0, 60.0, 40.0], "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": category_id, "iscrowd": 0, "segmentation": [TRIANGLE], **more,
    }  # fmt: skip


@pytest.fixture
def record(tmp_path):
    return write_record(tmp_path / "triangle.png", [annotation()])


def paste_in(records, *, with_masks=False, **more):
    more = {"probability": 1.0, "skip_probability": 0.0, **more}
    return PasteIn(pool=PartnerPool(records=records, with_masks=with_masks), **more)


def grey(annotations=None, with_masks=False):
    if annotations is None:
        annotations = Annotations.empty(with_masks=with_masks)
    return Collage(np.full((*SIZE, 3), 114, np.uint8), annotations, ["mosaic.jpg"])


def changed(collage):
    return (collage.image != 114).any(axis=2)


def test_only_the_object_is_pasted_and_its_label_is_its_box(record):
    step = paste_in([record], fractions=[0.5])
    pasted = 0
    for seed in range(30):
        before = grey()
        after = step(before, SIZE, np.random.default_rng(seed))
        assert not changed(before).any() and before.sources == ["mosaic.jpg"]
        if not len(after.annotations):
            assert np.array_equal(after.image, before.image)
            continue
        pasted += 1
        assert after.annotations.classes.tolist() == [5]
        x0, y0, x1, y1 = after.annotations.boxes[0]
        assert (x1 - x0) / (y1 - y0) == pytest.approx(60 / 40)  # the object's aspect
        assert x0 == int(x0) and y0 == int(y0) and 0 <= x0 < x1 <= 300 and 0 <= y0 < y1 <= 200
        there = changed(after)
        rows, columns = np.nonzero(there)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        # The triangle's acute corners are thinner than a pixel at their ends.
        assert np.abs(np.subtract(found, [x0, y0, x1, y1])).max() <= 3
        # Half of the box, and red: of the green around it there is no more than an edge's blend.
        assert there.sum() == pytest.approx((x1 - x0) * (y1 - y0) / 2, rel=0.1)
        inner = cv2.erode(there.astype(np.uint8), np.ones((7, 7))) > 0
        assert (after.image[inner] == RED).all() and inner.any()
        assert after.sources == ["mosaic.jpg", record["file_name"]]
    assert pasted > 20


def test_run_lengths_cut_out_the_same(record):
    run_lengths = coco_mask.frPyObjects([TRIANGLE], 90, 120)[0]
    bitmap = {**record, "annotations": [annotation(segmentation=run_lengths)]}
    for seed in range(5):
        ours = [
            paste_in([source], fractions=[0.5])(grey(), SIZE, np.random.default_rng(seed))
            for source in (record, bitmap)
        ]
        assert (changed(ours[0]) != changed(ours[1])).mean() < 0.02
        np.testing.assert_array_equal(ours[0].annotations.boxes, ours[1].annotations.boxes)


def test_places_that_cover_three_tenths_of_a_box_are_not_used(record):
    step = paste_in([record])
    box = Annotations(np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([0]), None)
    assert not step._is_free((7, 0, 47, 40), box)  # 3 of its 10 columns
    assert step._is_free((8, 0, 48, 40), box)  # 2 of them
    far = Annotations(np.array([[0.0, 0.0, 10, 10], [40, 0, 60, 10]]), np.array([0, 1]), None)
    assert not step._is_free((8, 0, 48, 40), far)  # 8 of the second one's 20
    assert step._is_free((8, 0, 48, 40), Annotations.empty(with_masks=False))
    # Both sides must be longer than 20 pixels.
    assert not step._is_free((100, 0, 120, 40), box) and step._is_free((100, 0, 121, 40), box)


def test_no_label_is_covered_by_three_tenths_when_another_is_pasted(record):
    """With all twenty places: later objects respect earlier ones and those of the mosaic."""
    step = paste_in([record])
    own = Annotations(np.array([[100.0, 50.0, 160.0, 120.0]]), np.array([0]), None)
    counts = []
    for seed in range(20):
        boxes = step(grey(own), SIZE, np.random.default_rng(seed)).annotations.boxes
        counts.append(len(boxes) - 1)
        for number in range(1, len(boxes)):
            low = np.maximum(boxes[:number, :2], boxes[number, :2])
            high = np.minimum(boxes[:number, 2:], boxes[number, 2:])
            common = np.clip(high - low, 0, None).prod(axis=1)
            area = (boxes[:number, 2:] - boxes[:number, :2]).prod(axis=1)
            assert (common < 0.3 * area).all()
        assert (boxes[1:, 2:] - boxes[1:, :2] > 10).all()
    assert max(counts) >= 4 and np.mean(counts) > 2


def test_masks_are_the_pasted_pixels_and_those_behind_lose_them(record):
    wall = [0.0, 0.0, 300.0, 0.0, 300.0, 200.0, 0.0, 200.0]
    behind = Annotations(
        np.array([[0.0, 0.0, 300.0, 200.0], [0.0, 0.0, 10.0, 10.0]]),
        np.array([0, 1]),
        [[np.array(wall).reshape(-1, 2)], np.zeros(SIZE, bool)],
    )
    step = paste_in([record], with_masks=True, fractions=[0.5])
    pasted = 0
    for seed in range(10):
        after = step(grey(behind), SIZE, np.random.default_rng(seed))
        bitmaps = after.annotations.bitmaps(SIZE)
        if len(bitmaps) == 3:
            pasted += 1
            assert np.array_equal(bitmaps[2], changed(after))
            assert np.array_equal(bitmaps[0], ~bitmaps[2])
            assert after.annotations.boxes[:2].tolist() == behind.boxes.tolist()
    assert pasted > 5
    assert behind.bitmaps(SIZE)[0].all()


def test_masks_change_neither_picture_nor_boxes(record):
    for seed in range(5):
        plain = paste_in([record])(grey(), SIZE, np.random.default_rng(seed))
        masked = paste_in([record], with_masks=True)(
            grey(with_masks=True), SIZE, np.random.default_rng(seed)
        )
        assert np.array_equal(plain.image, masked.image)
        assert np.array_equal(plain.annotations.boxes, masked.annotations.boxes)
        assert plain.annotations.masks is None
        assert len(masked.annotations.masks) == len(masked.annotations)


def test_only_objects_with_masks_are_pasted_and_crowds_are_none(tmp_path):
    annotations = [
        annotation(1, segmentation=[]),
        {k: v for k, v in annotation(2).items() if k != "segmentation"},
        annotation(3, iscrowd=1),
        annotation(4),
    ]
    step = paste_in([write_record(tmp_path / "a.png", annotations)])
    classes = set()
    for seed in range(10):
        after = step(grey(), SIZE, np.random.default_rng(seed))
        classes |= set(after.annotations.classes.tolist())
    assert classes == {4}


def test_a_data_set_without_masks_is_an_error_that_says_what_to_do(tmp_path):
    record = write_record(tmp_path / "a.png", [annotation(segmentation=None)])
    with pytest.raises(DatasetError, match="PASTE_IN_PROBABILITY is above 0, but no object"):
        paste_in([record])


def test_small_objects_and_thin_masks_are_left_out(tmp_path):
    """A box of 60 by 3 fits any place with a height of at most a twentieth of its width."""
    flat = annotation(bbox=[20.0, 10.0, 60.0, 3.0], segmentation=[[20, 10, 80, 10, 20, 13]])
    step = paste_in([write_record(tmp_path / "flat.png", [flat])], fractions=[0.5])
    line = annotation(segmentation=[[20, 10, 80, 49, 80, 50, 20, 11]])
    thin = paste_in([write_record(tmp_path / "thin.png", [line])], fractions=[0.3])
    pixels = []
    for seed in range(20):
        # At most 150 wide, so at most 7.5 high: never more than 10.
        assert not len(step(grey(), SIZE, np.random.default_rng(seed)).annotations)
        after = thin(grey(), SIZE, np.random.default_rng(seed))
        pixels.append(int(changed(after).sum()))
        assert len(after.annotations) == (pixels[-1] > 0)
    # A line one pixel high where it is 60 wide; places are at most 90 by 60. Some are left out.
    assert 0 in pixels and 60 < min(count for count in pixels if count) <= max(pixels) < 150


def test_the_probability_and_the_places_left_out(record):
    step = paste_in([record], probability=0.15)
    before = grey()
    rng = np.random.default_rng(0)
    same = sum(step(before, SIZE, rng) is before for _ in range(300))
    assert abs(same / 300 - 0.85) < 0.07
    never = paste_in([record], skip_probability=1.0)
    assert not len(never(before, SIZE, rng).annotations)


def test_candidates_are_half_of_the_objects_and_drawing_ends(tmp_path):
    """Four records at a time: with 5 objects each, half of 20 a time, so three times for 30."""
    full = write_record(tmp_path / "full.png", [annotation(i) for i in range(5)])
    rng = np.random.default_rng(0)
    assert len(paste_in([full])._draw_candidates(rng)) == 30
    # One object each: two a time, at most 16 times.
    single = write_record(tmp_path / "single.png", [annotation()])
    candidates = paste_in([single])._draw_candidates(rng)
    assert len(candidates) == 30
    empty = {**single, "annotations": []}
    pool = [single, *[empty] * 500]
    step = paste_in(pool)
    found = {len(step._draw_candidates(np.random.default_rng(seed))) for seed in range(50)}
    assert 0 in found and max(found) <= 2


def test_the_same_dice_give_the_same_picture(record):
    step = paste_in([record])
    first, again, other = (
        step(grey(), SIZE, np.random.default_rng(seed)).image.tobytes() for seed in (1, 1, 2)
    )
    assert first == again != other
