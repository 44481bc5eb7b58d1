import pytest
import torch
from torch import nn

from yolov7.config import get_config
from yolov7.solver import build_lr_scheduler, build_optimizer, parameter_groups
from yolov7.utils.errors import ConfigError


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(3))
        self.bn = nn.Linear(2, 2)  # a weight under a name that says "bn" still decays

    def no_weight_decay(self):
        return {"table"}


def make_model():
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 2))
    model.add_module("embedded", Embedded())
    return model


def by_name(model, groups):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {group["name"]: sorted(names[p] for p in group["params"]) for group in groups}


def test_groups_by_hand():
    model = make_model()
    groups = parameter_groups(
        model, lr=0.1, weight_decay=5e-4, weight_decay_norm=0.01, weight_decay_bias=0.02,
        bias_lr_factor=2.0,
    )  # fmt: skip
    assert by_name(model, groups) == {
        "norm": ["1.weight"],
        "weight": ["0.weight", "2.weight", "embedded.bn.weight"],
        "bias": ["1.bias", "2.bias", "embedded.bn.bias"],
        "no_decay": ["embedded.table"],
    }
    assert [group["weight_decay"] for group in groups] == [0.01, 5e-4, 0.02, 0.0]
    assert [group["lr"] for group in groups] == [0.1, 0.1, 0.2, 0.1]


def test_without_a_bias_decay_a_bias_follows_its_layer():
    """detectron2's rule: WEIGHT_DECAY_BIAS None leaves the decay of the layer."""
    model = make_model()
    groups = parameter_groups(model, lr=0.1, weight_decay=5e-4, weight_decay_norm=0.0)
    decays = {
        name: group["weight_decay"]
        for group, names in zip(groups, by_name(model, groups).values(), strict=True)
        for name in names
    }
    assert decays["1.bias"] == decays["1.weight"] == 0.0
    assert decays["2.bias"] == decays["2.weight"] == 5e-4


def test_the_backbone_learns_at_a_rate_of_its_own():
    model = nn.Module()
    model.backbone, model.backbone_free, model.head = make_model(), nn.Linear(2, 2), make_model()
    rates = {"lr": 0.1, "bias_lr_factor": 2.0, "backbone_multiplier": 0.1}
    decays = {"weight_decay": 5e-4, "weight_decay_norm": 0.01, "weight_decay_bias": 0.02}
    groups = parameter_groups(model, **rates, **decays)
    names = by_name(model, groups)
    assert list(names) == [
        "norm", "weight", "bias", "no_decay",
        "backbone_norm", "backbone_weight", "backbone_bias", "backbone_no_decay",
    ]  # fmt: skip
    found = {group["name"]: (group["lr"], group["weight_decay"]) for group in groups}
    assert found["bias"] == (0.2, 0.02)
    assert found["backbone_norm"] == pytest.approx((0.01, 0.01))
    assert found["backbone_weight"] == pytest.approx((0.01, 5e-4))
    assert found["backbone_bias"] == pytest.approx((0.02, 0.02))
    assert found["backbone_no_decay"] == pytest.approx((0.01, 0.0))
    assert "backbone_free.weight" in names["weight"] and "head.0.weight" in names["weight"]
    assert all(name.startswith("backbone.") for name in names["backbone_weight"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_multiplier_composes_with_the_warm_up_of_biases():
    """It starts at 0.5 for biases and 0 for others and ends at 0.1; the backbone has a tenth."""
    cfg = get_config()
    cfg.merge_from_list(
        ["SOLVER.BASE_LR", 0.1, "SOLVER.BIAS_LR_FACTOR", 1.0, "SOLVER.BACKBONE_MULTIPLIER", 0.1,
         "SOLVER.WARMUP_ITERS", 2, "SOLVER.WARMUP_METHOD", "linear", "SOLVER.WARMUP_FACTOR", 0.0,
         "SOLVER.WARMUP_BIAS_LR", 0.5, "SOLVER.STEPS", (), "SOLVER.MAX_ITER", 10]
    )  # fmt: skip
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(3):
        rates.append({group["name"]: group["lr"] for group in optimizer.param_groups})
        optimizer.step()
        scheduler.step()
    for name, expected in {"weight": [0.0, 0.05, 0.1], "bias": [0.5, 0.3, 0.1]}.items():
        assert [step[name] for step in rates] == pytest.approx(expected)
        found = [step[f"backbone_{name}"] for step in rates]
        assert found == pytest.approx([rate / 10 for rate in expected])


def test_a_negative_multiplier_is_refused_and_zero_leaves_the_backbone():
    cfg = get_config()
    cfg.SOLVER.BACKBONE_MULTIPLIER = -0.1
    with pytest.raises(ConfigError, match=r"SOLVER\.BACKBONE_MULTIPLIER must be 0 .* got -0\.1"):
        build_optimizer(cfg, make_model())
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    cfg.SOLVER.BACKBONE_MULTIPLIER = 0.0
    optimizer = build_optimizer(cfg, model)
    before = model["backbone"].weight.clone(), model["head"].weight.clone()
    (model["backbone"](torch.ones(2)) + model["head"](torch.ones(2))).sum().backward()
    optimizer.step()
    assert model["backbone"].weight.equal(before[0]) and not model["head"].weight.equal(before[1])


def test_frozen_and_shared_parameters():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    groups = parameter_groups(model, lr=0.1, weight_decay=0.0)
    assert sum(len(group["params"]) for group in groups) == 3


@pytest.mark.parametrize(("name", "kind"), [("SGD", torch.optim.SGD), ("AdamW", torch.optim.AdamW)])
def test_build_from_config(name, kind):
    cfg = get_config()
    cfg.merge_from_list(["SOLVER.OPTIMIZER", name, "SOLVER.NESTEROV", True, "SOLVER.MOMENTUM", 0.8])
    optimizer = build_optimizer(cfg, make_model())
    assert type(optimizer) is kind
    if name == "SGD":
        assert all(g["nesterov"] and g["momentum"] == 0.8 for g in optimizer.param_groups)


def test_unknown_optimizer():
    cfg = get_config()
    cfg.SOLVER.OPTIMIZER = "AdamV"
    with pytest.raises(ConfigError, match="Did you mean 'AdamW'"):
        build_optimizer(cfg, make_model())
