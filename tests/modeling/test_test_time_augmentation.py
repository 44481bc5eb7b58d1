from functools import partial

import pytest
import torch
from torch import nn

from yolov7.config import get_config, load_config
from yolov7.modeling import build_detector
from yolov7.modeling.test_time_augmentation import (
    AugmentedDetector,
    View,
    views_from_config,
    with_views,
)
from yolov7.ops.nms import NMS_TYPES
from yolov7.utils.errors import ConfigError

AUTHORS = (View(1.0), View(0.83, "horizontal"), View(0.67))


def sample(*boxes, size=(60, 100)):
    """A black picture of 60x100 with a bright rectangle in the channel of each (class, box)."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for channel, (x0, y0, x1, y1) in boxes:
        image[channel, y0:y1, x0:x1] = 255
    return {"image": image}


def detect(detector, views, *samples):
    with torch.no_grad():
        return [
            result["instances"]
            for result in AugmentedDetector(detector=detector, views=views)(samples)
        ]


def assert_same(first, second):
    assert first.image_size == second.image_size
    for name in ("scores", "pred_classes"):
        assert torch.equal(first.get(name), second.get(name))
    assert torch.equal(first.pred_boxes.tensor, second.pred_boxes.tensor)


BOX = [10, 20, 50, 30]
# The picture lies at (14, 2) of a frame of 64x128: there the box is [24, 22, 64, 32].


@pytest.mark.parametrize(
    ("view", "frame", "seen"),
    [
        (View(flip="horizontal"), (64, 128), [64, 22, 104, 32]),
        (View(flip="vertical"), (64, 128), [24, 32, 64, 42]),
        (View(scale=0.5), (32, 64), [12, 11, 32, 16]),
        (View(scale=0.5, flip="horizontal"), (32, 64), [32, 11, 52, 16]),
        (View(scale=2.0), (128, 256), [48, 44, 128, 64]),
    ],
)
def test_a_known_box_in_a_view_and_back(bright_detector, view, frame, seen):
    (found,) = detect(bright_detector, [view], sample((1, BOX)))
    (images,) = bright_detector.head.seen
    assert tuple(images.shape[2:]) == frame
    rows, columns = (images[0, 1] > 0.5).nonzero().unbind(dim=1)
    assert [int(columns.min()), int(rows.min())] == seen[:2]
    assert [int(columns.max()) + 1, int(rows.max()) + 1] == seen[2:]
    assert found.image_size == (60, 100)
    assert found.pred_classes.tolist() == [1]
    assert found.pred_boxes.tensor.tolist() == [pytest.approx(BOX, abs=1e-3)]


def test_boxes_come_back_by_the_exact_ratio():
    """640 · 0.83 is truncated to 531, so that a pixel of the view is 640 / 531 of the frame."""
    view = View(0.83, "horizontal")
    assert view.size((384, 640)) == (318, 531)
    box = view.undo(torch.tensor([[53.1, 31.8, 106.2, 159.0]]), (384, 640))
    assert box.tolist() == [pytest.approx([512, 38.4, 576, 192], abs=1e-4)]
    assert view.undo(torch.zeros(0, 4), (384, 640)).shape == (0, 4)


def test_a_view_is_padded_to_whole_strides_with_the_models_padding(bright_detector):
    detect(bright_detector, [View(0.83)], sample(size=(64, 96)))
    (images,) = bright_detector.head.seen
    assert images.shape == (1, 3, 64, 96)  # of 53x79
    assert torch.equal(images[:, :, 53:], torch.full((1, 3, 11, 96), 51 / 255))
    assert torch.equal(images[:, :, :, 79:], torch.full((1, 3, 64, 17), 51 / 255))
    assert not images[:, :, :53, :79].any()


def test_what_views_find_is_joined_before_suppression(bright_detector):
    numbers, suppress = [], bright_detector.postprocessor.nms

    def nms(boxes, scores, classes, *, sources, **limits):
        numbers.append(torch.bincount(sources.index).tolist())
        return suppress(boxes, scores, classes, sources=sources, **limits)

    bright_detector.postprocessor.nms = nms
    views = (*AUTHORS, View(0.5, "vertical"))
    (found,) = detect(bright_detector, views, sample((0, BOX), (2, [60, 5, 90, 45])))
    assert numbers == [[2, 2, 2, 2]]
    assert sorted(found.pred_classes.tolist()) == [0, 2]
    order = found.pred_classes.argsort()
    expected = torch.tensor([BOX, [60.0, 5, 90, 45]])
    # Edges blur when a picture shrinks by an odd factor: up to a pixel and a half.
    assert (found.pred_boxes.tensor[order] - expected).abs().max() < 1.5


def test_fusion_asks_how_many_views_agree(bright_detector):
    """The plain score is divided by two when one of two views shows nothing."""
    (alone,) = detect(bright_detector, [View()], sample((1, BOX)))
    bright_detector.postprocessor.nms = partial(NMS_TYPES["wbf"], threshold=0.65)
    views = (View(), View(flip="horizontal"))
    (both,) = detect(bright_detector, views, sample((1, BOX)))
    assert both.pred_boxes.tensor.tolist() == [pytest.approx(BOX, abs=1e-3)]
    torch.testing.assert_close(both.scores, alone.scores)
    find, calls = bright_detector.postprocessor.candidates, []

    def only_the_first_time(predictions):
        found = find(predictions)
        calls.append(found)
        return found if len(calls) == 1 else [candidates.best(0) for candidates in found]

    bright_detector.postprocessor.candidates = only_the_first_time
    (half,) = detect(bright_detector, views, sample((1, BOX)))
    torch.testing.assert_close(half.scores, alone.scores / 2)


def test_a_batch_is_its_pictures_and_nothing_is_nothing(bright_detector):
    samples = [sample((0, BOX)), sample(), sample((1, [3, 4, 30, 55]), (2, BOX))]
    together = detect(bright_detector, AUTHORS, *samples)
    assert [len(found) for found in together] == [1, 0, 2]
    for one, found in zip(samples, together, strict=True):
        assert_same(found, detect(bright_detector, AUTHORS, one)[0])


def real_detector():
    """A small YOLOX whose statistics let the picture through to its scores."""
    torch.manual_seed(0)
    values = {
        "MODEL.DEVICE": "cpu",
        "MODEL.META_ARCHITECTURE": "YOLOX",
        "MODEL.BACKBONE.NAME": "CSPDarknet",
        "MODEL.PIXEL_STD": "[255.0, 255.0, 255.0]",
        "MODEL.YOLO.CLASSES": "3",
        "MODEL.YOLO.WIDTH_MUL": "0.125",
        "MODEL.YOLO.DEPTH_MUL": "0.33",
        "MODEL.YOLO.CONF_THRESHOLD": "0.00001",
        "MODEL.YOLO.NMS_THRESHOLD": "0.95",
    }
    overrides = [text for pair in values.items() for text in pair]
    model = build_detector(load_config(None, overrides)).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def test_the_picture_itself_as_only_view_is_the_plain_result():
    detector = real_detector()
    samples = [{"image": torch.rand(3, 64, 96) * 255}, {"image": torch.rand(3, 50, 90) * 255}]
    with torch.no_grad():
        expected = [result["instances"] for result in detector(samples)]
    assert min(len(found) for found in expected) > 10
    for found, wanted in zip(detect(detector, [View()], *samples), expected, strict=True):
        assert_same(found, wanted)
    more = detect(detector, AUTHORS, *samples)
    assert not torch.equal(more[0].scores, expected[0].scores[: len(more[0])])


@pytest.mark.parametrize("kind", NMS_TYPES)
def test_every_kind_of_suppression_with_one_view_and_with_several(kind):
    detector = real_detector()
    detector.postprocessor.nms = partial(NMS_TYPES[kind], threshold=0.6)
    samples = [{"image": torch.rand(3, 64, 96) * 255}]
    with torch.no_grad():
        plain = detector(samples)[0]["instances"]
    assert len(plain) > 0
    assert_same(detect(detector, [View()], *samples)[0], plain)
    (several,) = detect(detector, AUTHORS, *samples)
    assert 0 < len(several) <= detector.postprocessor.max_detections
    assert (several.scores.diff() <= 0).all()


def test_models_it_does_not_fit(bright_detector):
    with pytest.raises(ConfigError, match=r"TEST.AUG.ENABLED: a Linear cannot.*ENABLED False"):
        with_views(nn.Linear(1, 1), AUTHORS)
    bright_detector.postprocessor = lambda *_: []
    with pytest.raises(ConfigError, match=r"a Detector with a DensePostprocessor"):
        with_views(bright_detector, AUTHORS)
    assert with_views(bright_detector, ()) is bright_detector


def test_training_is_refused(bright_detector):
    with pytest.raises(RuntimeError, match="eval"):
        AugmentedDetector(detector=bright_detector, views=AUTHORS).train()([sample()])


def test_the_config_names_the_views():
    cfg = get_config()
    assert views_from_config(cfg) == ()
    cfg.TEST.AUG.ENABLED = True
    assert views_from_config(cfg) == AUTHORS
    written = ["TEST.AUG.ENABLED", "True", "TEST.AUG.VIEWS", "[[1, 'vertical'], [1.5, 'none']]"]
    assert views_from_config(load_config(None, written)) == (View(1.0, "vertical"), View(1.5))


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([], "VIEWS is empty"),
        ([0.83], r"got 0\.83"),
        ([[1.0]], r"got \[1\.0\]"),
        ([[0, "none"]], "got the scale 0"),
        ([[float("nan"), "none"]], "got the scale nan"),
        ([["none", 1.0]], "got the scale 'none'"),
        ([[1.0, "horizontl"]], "got the flip 'horizontl'.*'horizontal'"),
        ([[1.0, True]], "got the flip True"),
        ([[1.0, []]], r"got the flip \[\]"),
        ([[float("inf"), "none"]], "got the scale inf"),
    ],
)
def test_views_that_make_no_sense(views, message):
    cfg = get_config()
    cfg.TEST.AUG.ENABLED, cfg.TEST.AUG.VIEWS = True, views
    with pytest.raises(ConfigError, match=message):
        views_from_config(cfg)
