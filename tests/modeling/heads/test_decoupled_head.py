import pytest
import torch

from yolov7.d2 import ImageList, ShapeSpec
from yolov7.modeling.heads import DecoupledHead
from yolov7.utils.errors import ConfigError

SHAPES = {"p4": ShapeSpec(channels=6, stride=16), "p3": ShapeSpec(channels=4, stride=8)}


def make_head(**arguments):
    defaults = {"input_shape": SHAPES, "num_classes": 3, "channels": 8}
    return DecoupledHead(**{**defaults, **arguments}).eval()


def make_inputs():
    features = {"p3": torch.randn(2, 4, 4, 6), "p4": torch.randn(2, 6, 2, 3)}
    return features, ImageList(torch.zeros(2, 3, 32, 48), [(32, 48)] * 2)


def test_order_is_level_row_column():
    head = make_head()
    features, images = make_inputs()
    found = head(features, images)
    assert found.level_sizes == ((4, 6), (2, 3))
    assert found.class_logits.shape == (2, 30, 3)
    # row 2, column 5 of the finer level is prediction 2 * 6 + 5, whatever order the dict has
    stem = head.stems[0](features["p3"])
    expected = head.class_predictors[0](head.class_convs[0](stem))[1, :, 2, 5]
    assert torch.equal(found.class_logits[1, 17], expected)
    boxes = head.box_convs[0](stem)
    assert torch.equal(found.box_deltas[1, 17], head.box_predictors[0](boxes)[1, :, 2, 5])
    objectness = head.objectness_predictors[0](boxes)[1, 0, 2, 5]
    assert torch.equal(found.objectness_logits[1, 17], objectness)
    assert found.centers[17].tolist() == [44.0, 20.0]
    # row 1, column 0 of the coarser one
    assert found.centers[24 + 3].tolist() == [8.0, 24.0]
    assert found.strides.tolist() == [8.0] * 24 + [16.0] * 6
    assert found.anchors is None


def test_untrained_scores_are_the_prior():
    head = make_head(prior_probability=0.2)
    for predictor in (*head.class_predictors, *head.objectness_predictors):
        assert predictor.bias.detach().sigmoid().tolist() == pytest.approx(
            [0.2] * len(predictor.bias)
        )
    assert make_head().class_predictors[0].bias[0].item() == pytest.approx(-4.59511985)
    assert not torch.allclose(head.box_predictors[0].bias, torch.tensor(-1.3863))


def test_a_batch_is_its_images():
    head = make_head(depthwise=True)
    features, images = make_inputs()
    together = head(features, images)
    for index in range(2):
        alone = head({name: x[index : index + 1] for name, x in features.items()}, images)
        assert torch.allclose(together.class_logits[index], alone.class_logits[0], atol=1e-6)
        assert torch.allclose(together.box_deltas[index], alone.box_deltas[0], atol=1e-6)


def test_centers_keep_their_precision_in_half():
    head = make_head().bfloat16()
    features, images = make_inputs()
    found = head({name: x.bfloat16() for name, x in features.items()}, images)
    assert found.box_deltas.dtype == torch.bfloat16
    assert found.centers.dtype == found.strides.dtype == torch.float32


def test_wrong_values():
    for prior in (0.0, 1.0, -0.5):
        with pytest.raises(ConfigError, match="PRIOR_PROBABILITY: expected between 0 and 1"):
            make_head(prior_probability=prior)
    with pytest.raises(ConfigError, match="CLASSES: expected at least 1, got 0"):
        make_head(num_classes=0)
