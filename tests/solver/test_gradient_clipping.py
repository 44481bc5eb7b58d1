import pytest
import torch

from yolov7.config import get_config
from yolov7.solver import build_gradient_clipper
from yolov7.utils.errors import ConfigError


def clip(kind, gradients, *, limit=1.0, norm_type=2.0):
    cfg = get_config()
    cfg.merge_from_list(
        ["SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", kind,
         "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", limit, "SOLVER.CLIP_GRADIENTS.NORM_TYPE", norm_type]
    )  # fmt: skip
    parameters = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros(2))
        parameter.grad = None if gradient is None else torch.tensor(gradient)
        parameters.append(parameter)
    build_gradient_clipper(cfg)(parameters)
    return [
        None if p.grad is None else pytest.approx(p.grad.tolist(), abs=1e-5) for p in parameters
    ]


GRADIENTS = [[3.0, -4.0], None, [0.6, 0.0]]


def test_by_value():
    assert clip("value", GRADIENTS) == [[1.0, -1.0], None, [0.6, 0.0]]


def test_by_norm_of_each_parameter():
    assert clip("norm", GRADIENTS) == [[0.6, -0.8], None, [0.6, 0.0]]
    assert clip("norm", GRADIENTS, norm_type=float("inf")) == [[0.75, -1.0], None, [0.6, 0.0]]


def test_by_norm_of_the_full_model():
    norm = (9 + 16 + 0.36) ** 0.5
    assert clip("full_model", GRADIENTS) == [[3 / norm, -4 / norm], None, [0.6 / norm, 0.0]]


@pytest.mark.parametrize("kind", ["value", "norm", "full_model"])
def test_no_gradients_at_all(kind):
    assert clip(kind, [None, None]) == [None, None]


def test_off_and_unknown():
    cfg = get_config()
    assert build_gradient_clipper(cfg) is None
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "norms"
    with pytest.raises(ConfigError, match="Did you mean 'norm'"):
        build_gradient_clipper(cfg)
