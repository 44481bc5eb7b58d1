import pytest
import torch
from torch import nn

from yolov7.d2 import Boxes, ImageList, Instances, ShapeSpec
from yolov7.modeling.meta_arch import Detector
from yolov7.modeling.padding import CenteredPadding
from yolov7.utils.errors import ConfigError, DatasetError, ImageError


class Stub(nn.Module):
    """Backbone, neck and head that hand the images on; remembers nothing, computes one product."""

    size_divisibility = 8

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def output_shape(self):
        return {"p3": ShapeSpec(channels=3, stride=8)}

    def forward(self, x, images=None):
        return x * self.scale if images is None else {"sum": x.sum(), "images": images}


class Criterion(nn.Module):
    def forward(self, predictions, targets, auxiliary):
        self.seen = predictions, targets, auxiliary
        return {"loss_sum": predictions["sum"] * 1.0}

    def sums(self, predictions, targets, auxiliary):
        return self(predictions, targets, auxiliary), len(targets)


def postprocess(predictions, images, original_sizes, offsets):
    return [
        Instances(size, offset=[offset])
        for size, offset in zip(original_sizes, offsets, strict=True)
    ]


def make_detector(**arguments):
    defaults = {
        "backbone": Stub(),
        "neck": Stub(),
        "head": Stub(),
        "criterion": Criterion(),
        "postprocessor": postprocess,
        "num_classes": 4,
        "pixel_mean": [10.0, 20.0, 30.0],
        "pixel_std": [1.0, 2.0, 4.0],
        "padded_value": 114.0,
    }
    return Detector(**{**defaults, **arguments})


def make_sample(height, width, classes=(), **extra):
    count = len(classes)
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor([[1.0, 2.0, 5.0, 7.0]]).repeat(count, 1))
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    image = torch.full((3, height, width), 50, dtype=torch.uint8)
    return {"image": image, "instances": instances, **extra}


def test_normalises_and_pads_each_channel():
    images, offsets = make_detector().preprocess([make_sample(5, 9), make_sample(8, 3)])
    assert images.tensor.shape == (2, 3, 8, 16)
    assert images.image_sizes == [(5, 9), (8, 3)]
    assert offsets == ((0, 0), (0, 0))
    inside, outside = images.tensor[0, :, 4, 8], images.tensor[0, :, 5, 8]
    assert inside.tolist() == [40.0, 15.0, 5.0]
    assert outside.tolist() == [104.0, 47.0, 21.0]
    assert images.tensor[1, :, 7, 3].tolist() == [104.0, 47.0, 21.0]


def test_an_image_that_fits_is_not_padded_and_the_buffers_stay():
    detector = make_detector()
    images, _ = detector.preprocess([make_sample(8, 8)])
    assert images.tensor.shape == (1, 3, 8, 8)
    images.tensor.zero_()
    assert detector.padded_pixel.flatten().tolist() == [104.0, 47.0, 21.0]


def test_padding_with_the_mean_is_zero_after_normalisation():
    detector = make_detector(padded_value=[10.0, 20.0, 30.0])
    images, _ = detector.preprocess([make_sample(5, 9)])
    assert not images.tensor[0, :, 5:].any()


def test_float_images_give_the_same_as_bytes():
    detector, sample = make_detector(), make_sample(5, 9)
    as_float = {**sample, "image": sample["image"].float()}
    left, right = (detector.preprocess([each])[0].tensor for each in (sample, as_float))
    assert torch.equal(left, right)


def test_computes_in_the_models_dtype():
    images, _ = make_detector().double().preprocess([make_sample(8, 8)])
    assert images.tensor.dtype == torch.float64


def test_training_returns_losses_of_packed_objects():
    detector = make_detector()
    batch = [make_sample(8, 8, (1, 3)), make_sample(8, 8), make_sample(8, 8, (0,))]
    losses = detector(batch)
    _, targets, auxiliary = detector.criterion.seen
    assert list(losses) == ["loss_sum"]
    assert targets.labels.tolist() == [1, 3, 0]
    assert targets.image_index.tolist() == [0, 0, 2]
    assert auxiliary is None


def test_losses_of_a_model_that_is_not_in_training():
    """What validation calls: same targets, auxiliary head included, and the mode stays."""
    detector = make_detector(auxiliary_head=Stub()).eval()
    batch = [make_sample(8, 8, (1, 3)), make_sample(8, 8)]
    losses = detector.losses(batch)
    assert losses.keys() == {"loss_sum"}
    assert detector.criterion.seen[1].labels.tolist() == [1, 3]
    assert detector.criterion.seen[2] is not None
    sums, count = detector.loss_sums(batch)
    assert count == 2
    assert torch.equal(sums["loss_sum"], losses["loss_sum"])
    assert not detector.training
    assert torch.equal(detector.train()(batch)["loss_sum"], losses["loss_sum"])


def test_objects_follow_their_image_in_a_centred_frame():
    detector = make_detector(padding=CenteredPadding(8))
    detector([make_sample(8, 8, (0,)), make_sample(4, 6, (1,))])
    boxes = detector.criterion.seen[1].boxes
    assert boxes.tolist() == [[1.0, 2.0, 5.0, 7.0], [2.0, 4.0, 6.0, 9.0]]


def test_inference_scales_to_the_given_size_or_to_the_images_own():
    detector = make_detector(padding=CenteredPadding(8)).eval()
    sample = make_sample(4, 6)
    del sample["instances"]
    found = detector([{**sample, "height": 40, "width": 60}, sample])
    assert [each["instances"].image_size for each in found] == [(40, 60), (4, 6)]
    assert [each["instances"].offset for each in found] == [[(1, 2)], [(1, 2)]]


def test_auxiliary_head_runs_in_training_only():
    detector = make_detector(auxiliary_head=Stub())
    detector([make_sample(8, 8)])
    assert detector.criterion.seen[2]["sum"] == detector.criterion.seen[0]["sum"]
    detector.auxiliary_head.forward = None
    detector.eval()([make_sample(8, 8)])
    assert detector.to_deploy().auxiliary_head is None


def test_mean_and_deviation_are_not_in_the_state_dict():
    detector = make_detector()
    assert not [name for name in detector.state_dict() if "pixel" in name]
    assert detector.double().device == torch.device("cpu")


@pytest.mark.parametrize(("label", "extra"), [(4, {"file_name": "a/b.jpg"}), (-1, {"image_id": 7})])
def test_label_that_the_model_does_not_have(label, extra):
    with pytest.raises(DatasetError) as error:
        make_detector()([make_sample(8, 8, (0, label), **extra)])
    source = extra.get("file_name", "image 7")
    assert str(error.value).startswith(
        f"{source}: has an object of class {label}, but the model has 4 classes, 0 to 3. "
        "Set MODEL.YOLO.CLASSES"
    )


def test_training_without_instances():
    sample = make_sample(8, 8, file_name="c.png")
    del sample["instances"]
    with pytest.raises(DatasetError, match=r"c\.png: the sample has no 'instances'.*model\.eval"):
        make_detector()([sample])


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (8, 8, 3), (3, 0, 8)])
def test_image_of_another_shape(shape):
    with pytest.raises(ImageError, match=r"d\.png: expected a tensor \(3, H, W\).*got"):
        make_detector()([{"image": torch.zeros(shape), "file_name": "d.png"}])


@pytest.mark.parametrize(("mean", "std"), [([0.0] * 3, [1.0] * 2), ([0.0] * 3, [1.0, 0.0, 1.0])])
def test_mean_and_deviation_must_fit(mean, std):
    with pytest.raises(ConfigError, match="PIXEL_STD: expected equally many numbers and no zero"):
        make_detector(pixel_mean=mean, pixel_std=std)


def test_whole_numbers_as_mean():
    images, _ = make_detector(pixel_mean=[0, 0, 0], pixel_std=[2, 2, 2]).preprocess(
        [make_sample(8, 8)]
    )
    assert images.tensor.unique().tolist() == [25.0]


def test_predict_is_what_training_and_inference_share():
    detector = make_detector().eval()
    images = ImageList(torch.ones(1, 3, 8, 8), [(8, 8)])
    assert detector.predict(images)["sum"] == 4 * 3 * 64
