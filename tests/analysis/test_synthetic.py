import torch

from yolov7.analysis import synthetic_samples


def test_samples_are_what_a_detector_takes():
    samples = synthetic_samples(3, (64, 96), num_classes=5, num_objects=40, num_channels=1, seed=1)
    assert len(samples) == 3
    for sample in samples:
        assert (sample["image"].shape, sample["image"].dtype) == ((1, 64, 96), torch.uint8)
        assert (sample["height"], sample["width"]) == (64, 96)
        boxes = sample["instances"].gt_boxes.tensor
        assert boxes.shape == (40, 4)
        assert boxes.min() >= 0
        assert (boxes[:, 2] <= 96.001).all() and (boxes[:, 3] <= 64.001).all()
        sides = (boxes[:, 2:] - boxes[:, :2]) / torch.tensor([96.0, 64.0])
        assert sides.min() > 0.049 and sides.max() < 0.501
        assert set(sample["instances"].gt_classes.tolist()) == set(range(5))


def test_same_seed_same_samples():
    first, again, other = (
        synthetic_samples(2, (32, 32), num_classes=3, seed=seed) for seed in (7, 7, 8)
    )
    for left, right in zip(first, again, strict=True):
        assert torch.equal(left["image"], right["image"])
        assert torch.equal(left["instances"].gt_boxes.tensor, right["instances"].gt_boxes.tensor)
    assert not torch.equal(first[0]["image"], other[0]["image"])
    assert not torch.equal(first[0]["image"], first[1]["image"])


def test_no_objects():
    (sample,) = synthetic_samples(1, (32, 32), num_classes=3, num_objects=0)
    assert len(sample["instances"]) == 0
