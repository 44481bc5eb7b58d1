"""SOLVER.DETERMINISTIC: every switch is set, and what cannot obey is named in the log."""

import logging
import os
import warnings

import pytest
import torch

from yolov7.engine.determinism import use_exact_algorithms
from yolov7.engine.run_folder import prepare_run
from yolov7.engine.setup import build_trainer
from yolov7.utils.errors import ConfigError


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    yield
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    cudnn.benchmark, cudnn.deterministic = before
    torch.use_deterministic_algorithms(False)
    logging.captureWarnings(False)
    logger = logging.getLogger("py.warnings")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()


def test_all_switches(cfg):
    cfg.SOLVER.DETERMINISTIC = True
    cfg.CUDNN_BENCHMARK = True
    prepare_run(cfg)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_off_by_default(cfg):
    cfg.CUDNN_BENCHMARK = True
    prepare_run(cfg)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_an_environment_that_forbids_it(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    with pytest.raises(ConfigError, match=r"CUBLAS_WORKSPACE_CONFIG is ':0:0'.*:4096:8, :16:8"):
        use_exact_algorithms()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    use_exact_algorithms()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_an_operation_without_exact_algorithm_is_named_in_the_log(cfg, tmp_path):
    cfg.SOLVER.DETERMINISTIC = True
    prepare_run(cfg)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        torch.zeros(4).put_(torch.tensor([1]), torch.tensor([2.0]), accumulate=False)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "put_ does not have a deterministic implementation" in log


@pytest.mark.slow
def test_training_on_the_cpu_has_exact_algorithms_throughout(cfg, tmp_path):
    cfg.merge_from_list(["SOLVER.DETERMINISTIC", True, "TEST.VALIDATION_LOSS", True])
    weights = []
    for run in "ab":
        cfg.OUTPUT_DIR = str(tmp_path / run)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            prepare_run(cfg)
            trainer = build_trainer(cfg)
            trainer.train()
        assert "deterministic implementation" not in (tmp_path / run / "log.txt").read_text()
        weights.append(trainer.bare_model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
