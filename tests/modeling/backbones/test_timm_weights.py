"""Pretrained weights from files; what would download is replaced: nothing uses the network."""

import logging

import pytest
import timm
import torch

from yolov7.layers import freeze_batch_norms
from yolov7.modeling.backbones import TimmBackbone, timm_weights
from yolov7.utils.errors import ConfigError, WeightsError


@pytest.fixture(scope="module")
def classifier():
    """A published model: a classifier with all of its entries, every one of its own value."""
    torch.manual_seed(3)
    model = timm.create_model("mobilenetv3_small_050")
    for value in model.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5)
    return model


def file_of(tmp_path, state):
    torch.save(state, tmp_path / "published.pth")
    return str(tmp_path / "published.pth")


def build(weights="", **arguments):
    return TimmBackbone(name="mobilenetv3_small_050", pretrained=True, weights=weights, **arguments)


@pytest.mark.parametrize("frozen", [False, True])
def test_all_entries_come_from_the_file(classifier, tmp_path, frozen):
    options = {"convert_norms": freeze_batch_norms, "freeze_at": 2} if frozen else {}
    backbone = build(file_of(tmp_path, classifier.state_dict()), strides=(8, 16), **options)
    published = classifier.state_dict()
    assert not backbone.body.conv_stem.weight.equal(published["conv_stem.weight"])
    state = torch.get_rng_state()
    backbone.initialize_weights()
    assert torch.get_rng_state().equal(state)
    found = backbone.body.state_dict()
    assert len(found) > 100
    assert all(value.equal(published[name]) for name, value in found.items())


def test_building_alone_reads_and_downloads_nothing(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("loaded while building")

    monkeypatch.setattr(timm_weights, "pretrained_state", refuse)
    monkeypatch.setattr(timm.models._builder, "load_pretrained", refuse)
    build("there/is/none.pth")
    build()


def test_a_file_that_lacks_a_part_is_an_error(classifier, tmp_path):
    """timm itself would leave that part of this family random without a word."""
    state = {n: v for n, v in classifier.state_dict().items() if not n.startswith("blocks.2.")}
    with pytest.raises(WeightsError, match=r"published\.pth: lacks \d+ of .*: blocks\.2\.0\."):
        build(file_of(tmp_path, state)).initialize_weights()


def test_files_that_are_none_or_of_another_model(tmp_path):
    with pytest.raises(WeightsError, match=r"MODEL\.TIMM\.WEIGHTS: there is no file none\.pth"):
        build("none.pth").initialize_weights()
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(WeightsError, match=r"text\.pth could not be loaded"):
        build(str(tmp_path / "text.pth")).initialize_weights()
    with torch.device("meta"):
        names = timm.create_model("mobilenetv3_small_075").state_dict()
    other = {name: torch.zeros(value.shape) for name, value in names.items()}
    with pytest.raises(WeightsError, match=r"could not be loaded: .*size mismatch"):
        build(file_of(tmp_path, other)).initialize_weights()


def test_pickled_code_in_a_file_does_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    with pytest.raises(WeightsError, match=r"could not be loaded"):
        build(file_of(tmp_path, {"conv_stem.weight": Trap()})).initialize_weights()
    assert not (tmp_path / "sprung").exists()


def test_without_network_the_remedy_is_told(monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(timm_weights, "create_features", no_network)
    with pytest.raises(WeightsError, match=r"Network is unreachable.* MODEL\.TIMM\.WEIGHTS, or"):
        build().initialize_weights()


def test_a_model_without_published_weights():
    with torch.device("meta"):
        backbone = TimmBackbone(name="seresnet18", pretrained=True)
    with pytest.raises(WeightsError, match=r"no pretrained weights of seresnet18.* seresnet50"):
        backbone.initialize_weights()


def test_a_file_without_asking_for_it():
    with pytest.raises(ConfigError, match=r"MODEL\.TIMM\.WEIGHTS names a\.pth, .*PRETRAINED True"):
        TimmBackbone(name="mobilenetv3_small_050", weights="a.pth")


def test_frozen_random_weights_are_refused():
    with torch.device("meta"):
        backbone = TimmBackbone(name="resnet18", freeze_at=1)
    with pytest.raises(ConfigError, match=r"FREEZE_AT: parts of resnet18 .*PRETRAINED True"):
        backbone.initialize_weights()


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("resnet18", {}, None),
        ("efficientnet_b0", {}, None),
        ("resnet18", {"convert_norms": freeze_batch_norms}, "Frozen batch norms of resnet18"),
        ("pvt_v2_b0", {}, "pvt_v2_b0 starts from random weights; transformers"),
        ("swin_tiny_patch4_window7_224", {}, "transformers hardly learn"),
    ],
)
def test_random_weights_are_warned_of_where_they_are_unwise(caplog, name, options, expected):
    with torch.device("meta"):
        backbone = TimmBackbone(name=name, **options)
    with caplog.at_level(logging.WARNING):
        backbone.initialize_weights()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (expected is not None)
    assert expected is None or expected in messages[0]


@pytest.mark.parametrize("loaded", [False, True])
def test_a_trainer_that_forgets_the_weights_is_told_once(caplog, loaded):
    """detectron2's trainers know nothing of `initialize_weights`, but load checkpoints."""
    backbone = build(strides=(4,))
    if loaded:
        torch.nn.Sequential(backbone).load_state_dict(
            torch.nn.Sequential(build(strides=(4,))).state_dict()
        )
    with caplog.at_level(logging.WARNING):
        backbone.eval()(torch.zeros(1, 3, 32, 32))
        assert not caplog.records
        backbone.train()(torch.zeros(2, 3, 32, 32))
        backbone(torch.zeros(2, 3, 32, 32))
    assert [record.levelname for record in caplog.records] == ([] if loaded else ["WARNING"])
