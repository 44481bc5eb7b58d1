import pytest
import torch
from torch import nn

from yolov7.checkpoint import save_checkpoint
from yolov7.engine import initial_weights
from yolov7.engine.evaluate import evaluate_weights
from yolov7.engine.initial_weights import load_initial_weights
from yolov7.engine.run_folder import prepare_run
from yolov7.engine.setup import build_trainer
from yolov7.modeling.backbones import TimmBackbone
from yolov7.utils.errors import ConfigError


class Model(nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.backbone = nn.Identity()
        self.backbone.initialize_weights = lambda: calls.append("initialized")


def test_weights_of_the_config_come_first(cfg, tmp_path):
    model = Model(calls := [])
    save_checkpoint(tmp_path / "w.pth", {"model": {"layer.weight": torch.ones(2, 2)}})
    cfg.MODEL.WEIGHTS = str(tmp_path / "w.pth")
    load_initial_weights(cfg, model)
    assert model.layer.weight.eq(1).all() and not calls
    cfg.MODEL.WEIGHTS = ""
    load_initial_weights(cfg, model)
    assert calls == ["initialized"]


def test_a_model_that_knows_its_weights_comes_before_its_backbone(cfg):
    model = Model(calls := [])
    model.initialize_weights = lambda: calls.append("the model's")
    load_initial_weights(cfg, model)
    assert calls == ["the model's", "initialized"]


def test_models_and_backbones_without_such_weights(cfg):
    load_initial_weights(cfg, nn.Linear(2, 2))
    load_initial_weights(cfg, nn.ModuleDict({"backbone": nn.Linear(2, 2)}))


@pytest.mark.parametrize(
    ("local_rank", "order"), [(0, ["initialized", "waited"]), (1, ["waited", "initialized"])]
)
def test_one_rank_of_a_machine_downloads_before_the_others(cfg, monkeypatch, local_rank, order):
    calls = []
    monkeypatch.setattr(initial_weights, "get_local_rank", lambda: local_rank)
    monkeypatch.setattr(initial_weights, "synchronize", lambda: calls.append("waited"))
    load_initial_weights(cfg, Model(calls))
    assert calls == order


@pytest.fixture
def timm_cfg(cfg):
    cfg.merge_from_list(
        ["MODEL.BACKBONE.NAME", "TimmBackbone", "MODEL.TIMM.NAME", "mobilenetv3_small_050",
         "MODEL.BACKBONE.FREEZE_AT", 0, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", ()]
    )  # fmt: skip
    return cfg


def test_frozen_random_weights_are_refused_before_training(timm_cfg):
    timm_cfg.MODEL.BACKBONE.FREEZE_AT = 2
    with pytest.raises(ConfigError, match=r"FREEZE_AT: parts of mobilenetv3_small_050"):
        build_trainer(timm_cfg)


@pytest.mark.slow
def test_pretrained_weights_start_fresh_trainings_and_nothing_else(timm_cfg, monkeypatch):
    """A fresh training loads them; one that is resumed, and evaluation, do not."""
    timm_cfg.MODEL.BACKBONE.PRETRAINED = True
    backbone = TimmBackbone(name="mobilenetv3_small_050")
    state = {name: torch.ones_like(value) for name, value in backbone.body.state_dict().items()}
    calls = []

    def published(**arguments):
        calls.append(arguments["name"])
        return state

    monkeypatch.setattr("yolov7.modeling.backbones.timm_backbone.pretrained_state", published)
    prepare_run(timm_cfg)
    trainer = build_trainer(timm_cfg)
    assert calls == ["mobilenetv3_small_050"]
    found = trainer.bare_model.backbone.body.state_dict()
    assert all(value.eq(1).all() for value in found.values())
    trainer.train()

    build_trainer(timm_cfg, resume=True)
    timm_cfg.DATASETS.TEST = timm_cfg.DATASETS.TRAIN
    evaluate_weights(timm_cfg, resume=True)
    timm_cfg.MODEL.WEIGHTS = f"{timm_cfg.OUTPUT_DIR}/model_final.pth"
    evaluate_weights(timm_cfg)
    build_trainer(timm_cfg)
    assert len(calls) == 1
