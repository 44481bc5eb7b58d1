from pathlib import Path

import pytest
import torch
from torch import nn

from yolov7.config import load_config
from yolov7.d2 import Boxes, Instances, build_model
from yolov7.modeling import build_detector
from yolov7.modeling.meta_arch import YOLOV7
from yolov7.modeling.reparameterization import reparameterize
from yolov7.solver.param_groups import parameter_groups
from yolov7.utils.errors import ConfigError

MODELS = Path(__file__).parents[3] / "configs" / "_base_" / "models"

# The authors' models at 80 classes: parameters in training and deployed, batch norms and
# convolutions, and tensors of the optimiser's groups (biases, kernels, the rest).
PUBLISHED = {
    "yolov7_tiny": (6_228_762, 6_219_709, 55, 58, (58, 58, 61)),
    "yolov7": (37_622_682, 36_905_341, 92, 95, (95, 95, 98)),
    "yolov7_x": (71_347_394, 71_311_741, 105, 108, (108, 108, 111)),
    "yolov7_w6": (82_312_436, 70_394_300, 107, 115, (115, 115, 115)),
    "yolov7_e6": (111_898_292, 97_202_940, 145, 153, (153, 153, 153)),
    "yolov7_d6": (154_709_364, 133_757_052, 167, 175, (175, 175, 175)),
    "yolov7_e6e": (166_408_884, 151_687_420, 244, 252, (252, 252, 252)),
}
# Every structure with few channels.
SMALL = {
    "MODEL.YOLO.CLASSES": 3,
    "MODEL.YOLO.WIDTH_MUL": 0.0625,
    "MODEL.ELAN.HIDDEN_CHANNELS": "[4, 4, 6, 6]",
    "MODEL.ELAN_PAFPN.HIDDEN_CHANNELS": "[4, 6, 8]",
}
SMALL_P6 = {
    **SMALL,
    "MODEL.ELAN.HIDDEN_CHANNELS": "[4, 4, 6, 6, 8]",
    "MODEL.ELAN_PAFPN.HIDDEN_CHANNELS": "[4, 6, 8, 8]",
}


def build(name, device="meta", **keys):
    opts = [item for pair in keys.items() for item in pair]
    cfg = load_config(MODELS / f"{name}.yaml", ["MODEL.DEVICE", device, *opts])
    with torch.device(device):
        return build_detector(cfg)


def build_small(name, **keys):
    levels = len(load_config(MODELS / f"{name}.yaml").MODEL.NECK.IN_STRIDES)
    torch.manual_seed(0)
    return build(name, "cpu", **{**(SMALL if levels == 3 else SMALL_P6), **keys})


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def trained(model):
    """Norms as after some training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_authors(name):
    parameters, _, norms, convs, groups = PUBLISHED[name]
    model = build(name)
    assert count(model) == parameters
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == norms
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == convs
    decays = {"weight_decay": 1.0, "weight_decay_norm": 0.0, "weight_decay_bias": 0.0}
    found = {g["name"]: len(g["params"]) for g in parameter_groups(model, lr=1.0, **decays)}
    rest = found["norm"] + found["no_decay"]
    assert (found["bias"], found["weight"], rest) == groups


@pytest.mark.parametrize(
    ("base", "scaled", "width", "depth", "kinds"),
    [
        (
            "yolov7",
            "yolov7_x",
            1.25,
            1.5,
            {
                "MODEL.HEAD.PRE_CONV": "conv",
                "MODEL.ELAN_PAFPN.CONV_RATIO": 1.0,
                "MODEL.ELAN_PAFPN.PICK_EVERY": 2,
            },
        ),
        ("yolov7_w6", "yolov7_e6", 1.25, 1.5, {}),
        ("yolov7_w6", "yolov7_d6", 1.5, 2.0, {}),
    ],
)
def test_compound_scaling_gives_the_larger_models(base, scaled, width, depth, kinds):
    """Section 3.2: depth of the blocks, width of the transitions; widths inside blocks stay."""
    if base == "yolov7_w6":
        kinds = {
            "MODEL.ELAN.TRANSITIONS": str(["down_c"] * 5),
            "MODEL.ELAN_PAFPN.TRANSITION": "down_c",
            "MODEL.AUXILIARY_HEAD.CHANNELS": "[256, 512, 768, 1024]",
        }
    factors = {"MODEL.YOLO.WIDTH_MUL": width, "MODEL.YOLO.DEPTH_MUL": depth}
    assert count(build(base, **kinds, **factors)) == PUBLISHED[scaled][0]


def test_two_numbers_make_a_new_size():
    whole = build("yolov7")
    half = build("yolov7", **{"MODEL.YOLO.WIDTH_MUL": 0.5, "MODEL.YOLO.DEPTH_MUL": 0.5})
    for left, right in zip((whole.backbone, whole.neck), (half.backbone, half.neck), strict=True):
        widths = [[s.channels for s in part.output_shape().values()] for part in (left, right)]
        assert widths[1] == [channels // 2 for channels in widths[0]]
    blocks = [model.backbone.stage4[1] for model in (whole, half)]
    assert [len(block.convs) for block in blocks] == [4, 2]
    assert [block.entry.conv.out_channels for block in blocks] == [256, 256]
    assert count(half) < count(whole) / 2


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if "e6" in name else ()) for name in PUBLISHED],
)
def test_deployed_model_is_smaller_and_equal(name):
    model = trained(build_small(name))
    smaller = reparameterize(model)
    assert smaller.auxiliary_head is None
    kinds = [type(module).__name__ for module in smaller.modules()]
    assert not {"BatchNorm2d", "RepConv", "ImplicitConv", "ImplicitA", "ImplicitM"} & set(kinds)
    convs = sum(isinstance(module, nn.Conv2d) for module in smaller.modules())
    # Of the training graph's, RepConv's second ones and the auxiliary head's are gone.
    gone = {"yolov7": 3, "yolov7_tiny": 0, "yolov7_x": 0}.get(name, 8)
    assert convs == PUBLISHED[name][3] - gone


def random_batch(*counts):
    """An image of 64x64 with each number of objects."""
    batch = []
    for objects in counts:
        corner = torch.rand(objects, 2) * 20
        boxes = torch.cat([corner, corner + 8 + torch.rand(objects, 2) * 30], dim=1)
        instances = Instances((64, 64), gt_boxes=Boxes(boxes), gt_classes=torch.arange(objects) % 3)
        image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances, "height": 64, "width": 64})
    return batch


@pytest.mark.parametrize("name", PUBLISHED)
def test_detects(name):
    model = build_small(name, **{"MODEL.YOLO.CONF_THRESHOLD": 0.0}).eval()
    with torch.no_grad():
        results = model(random_batch(0, 0))
    assert [result["instances"].image_size for result in results] == [(64, 64)] * 2
    assert all(len(result["instances"]) > 0 for result in results)


@pytest.mark.parametrize("name", ["yolov7_tiny", "yolov7_w6"])
def test_trains(name):
    model = build_small(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    batch = random_batch(3, 0)
    history = []
    for _ in range(8):
        optimizer.zero_grad()
        losses = model(batch)
        sum(losses.values()).backward()
        optimizer.step()
        # Objectness is left out: what it is to say grows with the overlaps.
        history.append(float((losses["loss_box"] + losses["loss_class"]).detach()))
    assert history[-1] < 0.95 * history[0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_parameter_has_a_gradient_also_without_objects(name):
    model = build_small(name)
    for counts in ((3, 1), (0, 0)):
        model.zero_grad()
        sum(model(random_batch(*counts)).values()).backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]
        assert all(p.grad.isfinite().all() for p in model.parameters())


def test_only_training_runs_the_auxiliary_head():
    model = build_small("yolov7_w6")
    calls = []
    model.auxiliary_head.register_forward_hook(lambda *_: calls.append(1))
    model.criterion = Recorder()
    model(random_batch(1, 0))
    predictions, auxiliary = model.criterion.seen
    assert calls == [1]
    assert auxiliary.level_sizes == predictions.level_sizes == ((8, 8), (4, 4), (2, 2), (1, 1))
    assert torch.equal(auxiliary.anchors, predictions.anchors)
    with torch.no_grad():
        model.eval()(random_batch(1))
    assert calls == [1]


class Recorder(nn.Module):
    def forward(self, predictions, targets, auxiliary):
        self.seen = predictions, auxiliary
        return {}


def test_pictures_lie_in_the_middle_and_boxes_come_back_to_them():
    """A box decoded in the frame, less its picture's offset, is in the picture."""
    model = build_small("yolov7_tiny", **{"MODEL.YOLO.CONF_THRESHOLD": 0.0}).eval()
    samples = [{"image": torch.zeros(3, 40, 96)}, {"image": torch.zeros(3, 64, 64)}]
    images, offsets = model.preprocess(samples)
    assert images.tensor.shape[2:] == (64, 96)
    assert offsets == ((0, 12), (16, 0))
    with torch.no_grad():
        for sample, result in zip(samples, model(samples), strict=True):
            height, width = sample["image"].shape[1:]
            boxes = result["instances"].pred_boxes.tensor
            assert len(boxes) > 0
            assert (boxes >= 0).all()
            assert (boxes <= torch.tensor([width, height, width, height])).all()


@pytest.mark.parametrize(
    ("criterion", "counts"),
    [("AnchorCriterion", False), ("AuxiliaryCriterion", False), ("DenseCriterion", True)],
)
def test_the_logit_of_a_single_class_counts_where_it_is_trained(criterion, counts):
    model = build_small(
        "yolov7_tiny",
        **{
            "MODEL.YOLO.CLASSES": 1,
            "MODEL.YOLO.CONF_THRESHOLD": 0.0,
            "MODEL.CRITERION.NAME": criterion,
            "MODEL.HEAD.IMPLICIT": False,
        },
    ).eval()
    samples = random_batch(0)
    with torch.no_grad():
        before = model(samples)[0]["instances"].scores
        for predictor in model.head.predictors:
            predictor.weight.view(3, 6, -1)[:, 5] = 0.0
            predictor.bias.view(3, 6)[:, 5] = -2.0
        after = model(samples)[0]["instances"].scores
    images, _ = model.preprocess(samples)
    objectness = model.predict(images).objectness_logits.sigmoid().max().item()
    expected = 0.1192029 * objectness if counts else objectness  # σ(-2)
    assert after[0].item() == pytest.approx(expected, rel=1e-4)
    assert (before[0].item() == pytest.approx(after[0].item())) is not counts


def test_channels_last_gives_the_same_and_stays():
    model = build_small("yolov7").eval()
    images, _ = model.preprocess(random_batch(0, 0))
    with torch.no_grad():
        expected = model.predict(images)
        model.to(memory_format=torch.channels_last)
        layouts = []
        for block in (
            model.backbone.stage4,
            model.neck.bottom_up[1].block,
            model.head.pre_convs[0],
        ):
            block.register_forward_hook(
                lambda module, args, output: layouts.append(
                    output.is_contiguous(memory_format=torch.channels_last)
                )
            )
        images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        found = model.predict(images)
    assert layouts == [True] * 3
    assert torch.allclose(found.class_logits, expected.class_logits, atol=1e-5)
    assert torch.allclose(found.box_deltas, expected.box_deltas, atol=1e-5)


def test_autocast_keeps_losses_in_float32():
    model = build_small("yolov7_w6")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(random_batch(2, 1))
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert all(loss.isfinite() for loss in losses.values())


def test_detectron2s_door_builds_the_same():
    cfg = load_config(MODELS / "yolov7_tiny.yaml", ["MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        assert isinstance(build_model(cfg), YOLOV7)


def test_parts_that_do_not_fit():
    expected = r"DecoupledHead predicts boxes without anchors\. Fitting: AnchorHead"
    with pytest.raises(ConfigError, match=expected):
        build("yolov7", **{"MODEL.HEAD.NAME": "DecoupledHead"})
    taps = {"MODEL.AUXILIARY_HEAD.CHANNELS": "[8, 8, 8]", "MODEL.NECK.NAME": "CSPPAFPN"}
    with pytest.raises(ConfigError, match=r"the neck CSPPAFPN has no taps"):
        build("yolov7", **taps)
    with pytest.raises(ConfigError, match=r"ANCHORS: expected for each of the strides \[8, 16\]"):
        build("yolov7", **{"MODEL.NECK.IN_STRIDES": "[8, 16]", "MODEL.NECK.NAME": "CSPPAFPN"})
