"""From a picture to the frame that the network sees, and back, with numbers worked out by hand."""

import cv2
import numpy as np
import pytest
import torch

from yolov7.data.mappers import TestMapper


def write_picture(path, height, width, box):
    """A black picture with a white rectangle."""
    x0, y0, x1, y1 = box
    image = np.zeros((height, width, 3), np.uint8)
    image[y0:y1, x0:x1] = 255
    cv2.imwrite(str(path), image)
    return {"file_name": str(path), "image_id": 1}


def test_fitted_centred_padded_to_the_stride_and_undone(bright_detector, tmp_path):
    """Halved to 100x75, as it is 60x100, and twice as large 80x100, in one batch.

    Size 100 and stride 32: a frame of 128x128. Margins left and above: (128 - 75) // 2 = 26 and
    14; 14 and 34; 14 and 24.
    """
    pictures = [
        ((200, 150), [30, 40, 60, 120], [41, 34, 56, 74]),
        ((60, 100), [10, 20, 50, 40], [24, 54, 64, 74]),
        ((40, 50), [5, 10, 25, 30], [24, 44, 64, 84]),
    ]
    mapper = TestMapper(input_size=(100, 100))
    samples = [
        mapper(write_picture(tmp_path / f"{number}.png", *size, box))
        for number, (size, box, _) in enumerate(pictures)
    ]
    assert [tuple(s["image"].shape[1:]) for s in samples] == [(100, 75), (60, 100), (80, 100)]
    results = bright_detector(samples)
    (frames,) = bright_detector.head.seen
    assert frames.shape == (3, 3, 128, 128)
    for (size, box, in_frame), frame, result in zip(pictures, frames, results, strict=True):
        rows, columns = (frame[0] > 0.5).nonzero().unbind(dim=1)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [int(side) for side in seen] == in_frame
        found = result["instances"]
        assert found.image_size == size
        assert found.pred_classes.tolist() == [0, 1, 2]
        expected = torch.tensor([box] * 3, dtype=torch.float32)
        torch.testing.assert_close(found.pred_boxes.tensor, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("size", "frame"),
    [((427, 640), (448, 640)), ((640, 480), (640, 480)), ((480, 641), (480, 640))],
)
def test_the_frame_is_the_smallest_rectangle_of_whole_strides(bright_detector, size, frame):
    mapper = TestMapper(input_size=(640, 640))
    resized = mapper.resize(np.zeros((*size, 3), np.uint8))
    images, (offset,) = bright_detector.preprocess(
        [{"image": torch.from_numpy(resized).permute(2, 0, 1)}]
    )
    assert tuple(images.tensor.shape[2:]) == frame
    height, width = resized.shape[:2]
    assert offset == ((frame[1] - width) // 2, (frame[0] - height) // 2)
    outside = images.tensor.clone()
    outside[:, :, offset[1] : offset[1] + height, offset[0] : offset[0] + width] = 51 / 255
    assert torch.equal(outside, torch.full_like(outside, 51 / 255))
