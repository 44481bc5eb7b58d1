"""Files in the layouts in which detectron2's model zoo has ResNets: facts, and the rule that fills
them (`deterministic.py`, under detectron2's names).

github.com/facebookresearch/detectron2, commit 02b5c4e, Apache-2.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from deterministic import fill_entry
from yolof_weights import R50, R101, Shapes, resnet_shapes

SMALL = {"stem": 16, "res2": 64}
MODELS: dict[str, Shapes] = {
    "R-50": resnet_shapes(R50),
    "R-101": resnet_shapes(R101),
    "X-101-32x8d": resnet_shapes(R101, groups=32, width_per_group=8),
    "R-50-quarter": resnet_shapes(R50, **SMALL, width_per_group=16),
    "X-50-quarter": resnet_shapes(R50, **SMALL, groups=8, width_per_group=4),
}
LAYOUTS = ("fused", "blobs", "caffe2", "detectron2")
# Caffe2's two ways to name a batch norm; the first one has no statistics.
_NORM_NAMES = {
    "fused": {"weight": "s", "bias": "b"},
    "caffe2": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "running_mean",
        "running_var": "running_var",
    },
}
_BRANCHES = {
    "shortcut": "branch1",
    "conv1": "branch2a",
    "conv2": "branch2b",
    "conv3": "branch2c",
}


def zoo_content(layout: str, shapes: Shapes) -> dict[str, Any]:
    """What a file holds: the entries of a ResNet, float32, and what lies beside them.

    Args:
        layout: "fused", a bare dict of Caffe2's names with norms of a factor and a shift; "blobs",
            the same in Caffe2's wrapping; "caffe2", its names with whole norms; "detectron2".
        shapes: {detectron2's name: shape}.
    """
    state = {name: fill_entry(name, shape).float().numpy() for name, shape in shapes.items()}
    if layout == "detectron2":
        state["stem.fc.weight"], state["stem.fc.bias"] = _numbers(5, 2), _numbers(5)
        return {"model": state, "__author__": "torchvision", "matching_heuristics": True}
    norms = _NORM_NAMES["caffe2" if layout == "caffe2" else "fused"]
    state = {
        caffe2_name(name, norms): value
        for name, value in state.items()
        if ".norm." not in name or name.rpartition(".")[2] in norms
    }
    state |= {"fc1000_w": _numbers(5, 2), "fc1000_b": _numbers(5), "conv1_b": _numbers(16)}
    if layout == "caffe2":
        return {"model": state, "__author__": "Caffe2", "matching_heuristics": True}
    state["res2_0_branch2a_w_momentum"] = state["res2_0_branch2a_w"]
    if layout == "blobs":
        return {"blobs": state, "cfg": "TRAIN: {}", "iteration": np.int64(3)}
    return state


def caffe2_name(name: str, norms: dict[str, str]) -> str:
    """Caffe2's name of detectron2's entry."""
    module, _, entry = name.rpartition(".")
    if module.startswith("stem."):
        convolution, norm = "conv1", "res_conv1"
    else:
        stage, block, branch = module.removesuffix(".norm").split(".")
        convolution = norm = f"{stage}_{block}_{_BRANCHES[branch]}"
    if module.endswith(".norm"):
        return f"{norm}_bn_{norms[entry]}"
    return f"{convolution}_w"


def _numbers(*shape: int) -> np.ndarray:
    return np.ones(shape, dtype=np.float32)
