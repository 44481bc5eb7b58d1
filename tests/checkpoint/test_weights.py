import logging

import pytest
import torch
from torch import nn

from yolov7.checkpoint import load_weights, save_checkpoint, select_weights
from yolov7.utils.errors import WeightsError


def make_model(classes=3):
    return nn.ModuleDict({"body": nn.Linear(2, 4), "classes": nn.Linear(4, classes)})


def constant(model, value):
    return {name: torch.full_like(entry, value) for name, entry in model.state_dict().items()}


def test_averaged_weights_come_first(tmp_path, caplog):
    model = make_model()
    checkpoint = {"model": constant(model, 1.0), "ema": {"model": constant(model, 2.0)}}
    save_checkpoint(tmp_path / "a.pth", checkpoint)
    with caplog.at_level(logging.INFO, logger="yolov7"):
        report = load_weights(model, tmp_path / "a.pth")
    assert all((entry == 2).all() for entry in model.state_dict().values())
    assert set(report.matched) == set(model.state_dict())
    assert report.missing == report.unexpected == report.mismatched == ()
    report.require_complete("a.pth")
    assert "4 of 4 entries" in caplog.text
    assert "'ema'" in caplog.text


@pytest.mark.parametrize(
    "wrap", [lambda s: {"model": s}, lambda s: s, lambda s: {"model": s, "ema": None}]
)
def test_model_and_bare_state_dict(tmp_path, wrap):
    model = make_model()
    save_checkpoint(tmp_path / "a.pth", wrap(constant(model, 1.0)))
    load_weights(model, tmp_path / "a.pth")
    assert all((entry == 1).all() for entry in model.state_dict().values())


def test_names_of_a_wrapped_model():
    state = {"module.a": torch.ones(1), "module.b": torch.ones(1)}
    assert set(select_weights({"model": state})[1]) == {"a", "b"}


def test_another_number_of_classes_is_reported_by_name(tmp_path, caplog):
    save_checkpoint(tmp_path / "a.pth", {"model": constant(make_model(classes=80), 1.0)})
    model = make_model(classes=3)
    before = model["classes"].weight.clone()
    with caplog.at_level(logging.WARNING, logger="yolov7"):
        report = load_weights(model, tmp_path / "a.pth")
    assert [str(entry) for entry in report.mismatched] == [
        "classes.weight (file [80, 4], model [3, 4])",
        "classes.bias (file [80], model [3])",
    ]
    assert torch.equal(model["classes"].weight, before)
    assert (model["body"].weight == 1).all()
    assert "classes.weight (file [80, 4], model [3, 4])" in caplog.text
    with pytest.raises(WeightsError, match=r"classes\.weight \(file \[80, 4\], model \[3, 4\]\)"):
        report.require_complete("a.pth")


def test_missing_and_unexpected(tmp_path):
    state = {"body.weight": torch.ones(4, 2), "other": torch.ones(1)}
    save_checkpoint(tmp_path / "a.pth", state)
    report = load_weights(make_model(), tmp_path / "a.pth")
    assert report.matched == ("body.weight",)
    assert report.missing == ("body.bias", "classes.weight", "classes.bias")
    assert report.unexpected == ("other",)
    with pytest.raises(WeightsError, match=r"missing: body\.bias"):
        report.require_complete("a.pth")


def test_a_part_that_is_missing_as_a_whole_is_one_name(tmp_path, caplog):
    save_checkpoint(tmp_path / "a.pth", {"body.weight": torch.ones(4, 2)})
    load_weights(make_model(), tmp_path / "a.pth")
    assert "left as they were: body.bias, everything in classes" in caplog.text


def test_weights_of_another_model(tmp_path):
    save_checkpoint(tmp_path / "a.pth", {"model": {"backbone.conv": torch.ones(1)}})
    with pytest.raises(WeightsError, match=r"no entry fits.*backbone\.conv.*body\.weight"):
        load_weights(make_model(), tmp_path / "a.pth")
