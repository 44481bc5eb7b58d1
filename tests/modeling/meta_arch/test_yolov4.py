import re
from pathlib import Path

import pytest
import torch

from yolov7.config import load_config
from yolov7.d2 import Boxes, Instances
from yolov7.modeling import build_detector
from yolov7.modeling.box_coders import YOLOv4BoxCoder
from yolov7.modeling.meta_arch import YOLOV4
from yolov7.modeling.postprocessing import AnchorPostprocessor
from yolov7.modeling.reparameterization import reparameterize
from yolov7.utils.errors import ConfigError

MODELS = Path(__file__).parents[3] / "configs" / "_base_" / "models"
NAMES = pytest.mark.parametrize("name", ["yolov4", "yolov4_tiny"])


def small_model(name, *opts):
    small = ["MODEL.YOLO.WIDTH_MUL", "0.125", "MODEL.YOLO.DEPTH_MUL", "0.33"]
    small += ["MODEL.DEVICE", "cpu", "MODEL.YOLO.CLASSES", "3"]
    return build_detector(load_config(MODELS / f"{name}.yaml", [*small, *opts]))


def random_batch(*sizes, objects=3):
    batch = []
    for height, width in sizes:
        corner = torch.rand(objects, 2) * 20
        boxes = torch.cat([corner, corner + 5 + torch.rand(objects, 2) * 30], dim=1)
        instances = Instances((height, width), gt_boxes=Boxes(boxes))
        instances.gt_classes = torch.randint(0, 3, (objects,))
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances})
    return batch


@pytest.mark.parametrize(
    ("name", "parts", "num_entries"),
    [
        ("yolov4", (26_617_184, 31_091_456, 6_654_461), 648),
        ("yolov4_tiny", (3_629_728, 164_608, 2_262_270), 118),
    ],
)
def test_parameters_are_those_of_the_networks_files(name, parts, num_entries):
    """64,363,101 and 6,056,606 in all; per convolution 6 entries with normalisation, else 2."""
    with torch.device("meta"):
        model = build_detector(load_config(MODELS / f"{name}.yaml", ["MODEL.DEVICE", "meta"]))
    found = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.backbone, model.neck, model.head)
    ]
    assert tuple(found) == parts
    assert len(model.state_dict()) == num_entries
    epsilons = {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert epsilons == {1e-5}


def test_activations_are_mish_in_the_backbone_and_leaky_elsewhere():
    """72 and 35 of them."""
    with torch.device("meta"):
        model = build_detector(load_config(MODELS / "yolov4.yaml", ["MODEL.DEVICE", "meta"]))
    kinds = {
        kind: [name for name, module in model.named_modules() if isinstance(module, kind)]
        for kind in (torch.nn.Mish, torch.nn.LeakyReLU, torch.nn.SiLU)
    }
    assert [len(names) for names in kinds.values()] == [72, 35, 0]
    assert all(name.startswith("backbone.") for name in kinds[torch.nn.Mish])


@NAMES
def test_trains_a_step_and_detects(name):
    torch.manual_seed(0)
    model = small_model(name)
    assert isinstance(model, YOLOV4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    batch = random_batch((64, 96), (40, 64))
    first = sum(model(batch).values())
    for _ in range(4):
        optimizer.zero_grad()
        sum(model(batch).values()).backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
    assert sum(model(batch).values()) < first
    model.eval()
    with torch.no_grad():
        results = model(batch)
    assert [result["instances"].image_size for result in results] == [(64, 96), (40, 64)]
    assert sum(p.numel() for p in reparameterize(model).parameters()) < sum(
        p.numel() for p in model.parameters()
    )


def test_the_coder_is_yolov4s_unless_a_key_says_otherwise():
    box_coder = small_model("yolov4", "MODEL.BOX_CODER.NAME", "").postprocessor.box_coder
    assert isinstance(box_coder, YOLOv4BoxCoder)
    # A corner's cell of stride 32 with the scale 1.05: zeros are its centre, the anchor's size.
    one = torch.ones(1)
    boxes = box_coder.decode(
        torch.zeros(1, 4), 16 * torch.ones(1, 2), 32 * one, 8 * one.expand(1, 2)
    )
    assert boxes.tolist() == [[12.0, 12.0, 20.0, 20.0]]
    far = torch.tensor([[100.0, -100.0, 0.0, 0.0]])
    x1, y1, x2, y2 = box_coder.decode(far, 16 * torch.ones(1, 2), 32 * one, 8 * one.expand(1, 2))[0]
    assert (x1 + x2) / 2 == pytest.approx(16 + 0.525 * 32)
    assert (y1 + y2) / 2 == pytest.approx(16 - 0.525 * 32)


def test_parts_without_anchors_are_refused():
    with pytest.raises(ConfigError, match=r"MODEL\.HEAD\.NAME.*DecoupledHead"):
        small_model("yolov4", "MODEL.HEAD.NAME", "DecoupledHead")
    with pytest.raises(ConfigError, match=r"MODEL\.BOX_CODER\.NAME.*YOLOXBoxCoder"):
        small_model("yolov4", "MODEL.BOX_CODER.NAME", "YOLOXBoxCoder")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("CRITERION.LEVEL_BALANCE", "[1.0, 1.0]", r"expected 3 numbers, .* got \[1\.0, 1\.0\]$"),
        ("HEAD.BN_EPSILON", "0.0", r"expected a number above 0, got 0\.0$"),
        ("DARKNET.BN_EPSILON", "-1.0", r"expected a number above 0, got -1\.0$"),
    ],
)
def test_what_the_first_step_would_refuse_is_refused_at_once(key, value, message):
    with pytest.raises(ConfigError, match=rf"^MODEL\.{re.escape(key)}: {message}"):
        small_model("yolov4", f"MODEL.{key}", value)


def test_scales_for_another_number_of_levels():
    with pytest.raises(ConfigError, match=r"MODEL\.BOX_CODER\.SCALE_XY"):
        small_model("yolov4", "MODEL.BOX_CODER.SCALE_XY", "[1.1, 1.05]")


def test_single_class_that_a_criterion_does_not_train_is_left_out_of_scores():
    criterion = ["MODEL.CRITERION.NAME", "AnchorCriterion", "MODEL.ASSIGNER.NAME", "AnchorRatio"]
    one = ["MODEL.YOLO.CLASSES", "1"]
    assert isinstance(small_model("yolov4", *criterion, *one).postprocessor, AnchorPostprocessor)
    assert not isinstance(small_model("yolov4", *one).postprocessor, AnchorPostprocessor)
