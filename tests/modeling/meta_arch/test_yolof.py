from __future__ import annotations

from pathlib import Path

import pytest
import torch

from yolov7.config import load_config
from yolov7.d2 import Boxes, Instances
from yolov7.modeling import build_detector
from yolov7.utils.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"


def digits(*overrides: str):
    path = CONFIGS / "digits" / "yolof.yaml"
    return load_config(path, ["MODEL.DEVICE", "cpu", *overrides])


def make_sample(*size: int, boxes: int) -> dict:
    objects = torch.tensor([[10.0, 12.0, 40.0, 50.0], [60.0, 20.0, 84.0, 52.0]])[:boxes]
    instances = Instances(size, gt_boxes=Boxes(objects), gt_classes=torch.arange(boxes))
    return {"image": torch.randint(0, 256, (3, *size), dtype=torch.uint8), "instances": instances}


def test_a_batch_is_padded_to_its_largest_picture_with_the_mean() -> None:
    resnet = ["MODEL.BACKBONE.NAME", "ResNet"]
    with torch.device("meta"):
        model = build_detector(digits(*resnet, "MODEL.DEVICE", "meta"))
    # A ResNet takes pictures of any size, CSPDarknet53 multiples of its stride, 8.
    assert model.padding([(70, 100), (90, 60)]).batch_size == (90, 100)
    model = build_detector(digits())
    assert model.padding([(70, 100), (90, 60)]).batch_size == (96, 104)
    assert not model.padded_pixel.any(), "the mean, after its subtraction"


def test_a_small_model_learns_two_pictures() -> None:
    torch.manual_seed(0)
    model = build_detector(digits("MODEL.YOLO.WIDTH_MUL", "0.125", "MODEL.NECK.CHANNELS", "16"))
    batch = [make_sample(64, 96, boxes=2), make_sample(64, 96, boxes=1)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    totals = []
    for _ in range(8):
        losses = model.train()(batch)
        assert set(losses) == {"loss_box", "loss_class"}
        totals.append(sum(losses.values()))
        optimizer.zero_grad()
        totals[-1].backward()
        optimizer.step()
    assert totals[-1] < 0.9 * totals[0]
    for found, sample in zip(model.eval()(batch), batch, strict=True):
        assert found["instances"].image_size == tuple(sample["image"].shape[1:])


def test_losses_of_a_batch_are_sums_over_its_pictures() -> None:
    torch.manual_seed(0)
    model = build_detector(digits("MODEL.YOLO.WIDTH_MUL", "0.125")).eval().double()
    batch = [
        make_sample(64, 96, boxes=2),
        make_sample(64, 96, boxes=1),
        make_sample(64, 96, boxes=0),
    ]
    with torch.no_grad():
        sums, count = model.loss_sums(batch)
        parts = [model.loss_sums([sample]) for sample in batch]
        losses = model.losses(batch)
    assert count == sum(part for _, part in parts) > 0
    for name, value in sums.items():
        together = sum(part[name] for part, _ in parts)
        torch.testing.assert_close(value, together)
        torch.testing.assert_close(losses[name], value / count)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.HEAD.NAME", "DecoupledHead"), r"MODEL\.HEAD\.NAME: .* Fitting: YOLOFHead"),
        (("MODEL.CRITERION.NAME", "DenseCriterion"), r"CRITERION\.NAME: .*Fitting: YOLOFCriterion"),
        (
            ("MODEL.ASSIGNER.NAME", "SimOTA"),
            r"ASSIGNER\.NAME: SimOTA .* YOLOFHead, which predicts boxes without objectness\. "
            r"Fitting: AnchorRatio, BestAnchor, UniformMatcher$",
        ),
        (("MODEL.ASSIGNER.NAME", "OTA"), r"ASSIGNER\.NAME: OTA is for other heads than YOLOFHead"),
        (("MODEL.META_ARCHITECTURE", "YOLOV7"), r"YOLOFHead predicts boxes without objectness"),
        (("MODEL.BOX_CODER.NAME", "YOLOXBoxCoder"), r"YOLOXBoxCoder is for heads without anchors"),
        (("MODEL.NECK.NAME", "FPN", "MODEL.NECK.IN_STRIDES", "[8, 16]"), "looks at one map"),
    ],
)
def test_parts_that_do_not_fit_are_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_detector(digits(*overrides))
