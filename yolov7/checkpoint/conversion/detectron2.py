"""ImageNet weights of detectron2's model zoo (github.com/facebookresearch/detectron2): ResNets."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolov7.checkpoint.conversion.reading import describe_resnet, model_entries
from yolov7.checkpoint.conversion.renaming import Shapes, fit_to_shapes, rename_by_rules
from yolov7.checkpoint.pickled_arrays import load_pickled_arrays
from yolov7.utils.errors import WeightsError
from yolov7.utils.names import listed

logger = logging.getLogger(__name__)

# detectron2's names of a backbone's entries to ours: here a convolution holds its norm.
RESNET_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"^backbone\.stem\.conv1\.norm\.", r"backbone.stem.0.norm."),
        (r"^backbone\.stem\.conv1\.", r"backbone.stem.0.conv."),
        (r"^(backbone\.res\d\.\d+\.(?:shortcut|conv\d))\.(weight|bias)$", r"\1.conv.\2"),
    ]
]

_RULES = [
    *(
        (re.compile(pattern), replacement)
        for pattern, replacement in [
            # Caffe2's names to detectron2's.
            (r"^(?:res_)?conv1_", r"stem.conv1_"),
            (r"^res(\d)_(\d+)_branch1_", r"res\1.\2.shortcut_"),
            *(
                (rf"^res(\d)_(\d+)_branch2{letter}_", rf"res\1.\2.conv{number}_")
                for number, letter in enumerate("abc", start=1)
            ),
            *(
                (rf"^((?:stem|res\d\.\d+)\.\w+)_bn_(?:{theirs})$", rf"\1.norm.{ours}")
                for theirs, ours in (
                    ("s|gamma", "weight"),
                    ("b|beta", "bias"),
                    ("rm|running_mean", "running_mean"),
                    ("riv|running_var", "running_var"),
                )
            ),
            (r"^(stem\.conv1|res\d\.\d+\.(?:shortcut|conv\d))_w$", r"\1.weight"),
            (r"^(stem\.conv1|res\d\.\d+\.(?:shortcut|conv\d))_b$", r"\1.bias"),
            # Beside the stages, the stem of these files has the classes of ImageNet.
            (r"^(stem\.conv1|res\d\.\d+)\.", r"backbone.\1."),
        ]
    ),
    *RESNET_RULES,
]

_STATISTICS = {"running_mean": torch.zeros_like, "running_var": torch.ones_like}


def convert_detectron2_resnet(
    source: str | os.PathLike[str] | Mapping[str, Any], shapes: Shapes
) -> dict[str, Tensor]:
    """Convert a pretrained ResNet of detectron2's model zoo to our backbone's weights.

    Files have Caffe2's names or detectron2's. Norms without statistics, only a factor and a shift,
    get the mean 0 and the variance 1, as detectron2 loads them. What is no part of the backbone is
    left out, and so are biases of convolutions, which detectron2's ResNet does not have either; the
    log names them.

    Args:
        source: the `.pkl` file, or the dict that it holds.
        shapes: {name: shape} of our model's state dict, of which the entries of `backbone.` count.

    Returns:
        Every entry of our backbone, and no other of the model, in the order of `shapes`.

    Raises:
        WeightsError: the file is damaged or unsafe, holds no ResNet or one of another size, or the
            config's backbone is no `ResNet`, or none with the frozen norms that the file needs.
    """
    shapes = {name: shape for name, shape in shapes.items() if name.startswith("backbone.")}
    if not {"backbone.stem.0.conv.weight", "backbone.res2.0.conv1.conv.weight"} <= shapes.keys():
        raise WeightsError(
            "the config's backbone is no ResNet of detectron2's kind (it starts with "
            f"{next(iter(shapes), 'nothing')}). Set MODEL.BACKBONE.NAME ResNet"
        )
    content = load_pickled_arrays(source) if not isinstance(source, Mapping) else source
    entries = _entries(content)
    state = {
        name: value for name, value in entries.items() if _is_of_backbone(zoo_name(name), shapes)
    }
    left_out = [name for name in entries if name not in state]
    if left_out:
        logger.warning("Left out, the backbone has no such entries: %s", listed(left_out))
    state = fit_to_shapes(
        state | _lacking_statistics(state, shapes), shapes, rename=zoo_name, describe=_describe
    )
    if content.get("__author__") == "torchvision":
        logger.warning(
            "Weights of torchvision were trained with strides in the 3x3 convolutions and other "
            "colours than MSRA's: set MODEL.RESNETS.STRIDE_IN_1X1 False, INPUT.FORMAT RGB, "
            "MODEL.PIXEL_MEAN [123.675,116.28,103.53], MODEL.PIXEL_STD [58.395,57.12,57.375]."
        )
    return state


def zoo_name(name: str) -> str:
    """Our name of an entry of either kind; unknown names stay as they are."""
    return rename_by_rules(name, _RULES)


def _entries(content: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The arrays of the model as tensors, wherever the file has them."""
    for key in ("model", "blobs"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in content.items()
    }
    return model_entries(tensors, project="detectron2's model zoo")


def _is_of_backbone(name: str, shapes: Shapes) -> bool:
    """Whether an entry must fit: it is of a stage that the model has, however deep."""
    if not name.startswith("backbone.") or name.endswith((".conv.bias", "_momentum")):
        return False
    if name.endswith(".num_batches_tracked"):
        return name in shapes
    stage = name.split(".")[1]
    return any(other.startswith(f"backbone.{stage}.") for other in shapes)


def _lacking_statistics(state: Mapping[str, Tensor], shapes: Shapes) -> dict[str, Tensor]:
    """What norms of our model have and a whole file does not.

    Raises:
        WeightsError: norms of the model are trained, and the file's have no mean and variance.
    """
    found = {zoo_name(name): value for name, value in state.items()}
    is_fused = not any(name.endswith((".running_mean", ".running_var")) for name in found)
    lacking: dict[str, Tensor] = {}
    for name in shapes:
        norm, _, entry = name.rpartition(".")
        factor = found.get(f"{norm}.weight")
        if name in found or factor is None:
            continue
        if entry == "num_batches_tracked":
            lacking[name] = torch.zeros((), dtype=torch.int64)
        elif is_fused and entry in _STATISTICS:
            if f"{norm}.num_batches_tracked" in shapes:
                raise WeightsError(
                    f"the weights have no entry for {name}: their norms are a factor and a shift, "
                    "which only frozen ones can take over. Set MODEL.RESNETS.NORM FrozenBN"
                )
            lacking[name] = _STATISTICS[entry](factor)
    return lacking


def _describe(shapes: Shapes) -> str:
    """Say which ResNet entries of our names belong to."""
    text = describe_resnet(shapes)
    width, per_group = shapes.get("backbone.res2.0.conv2.conv.weight", (0, 0))[:2]
    if 0 < per_group < width:
        text += f", in {width // per_group} groups of {per_group} channels"
    if any("_gn_" in name for name in shapes):
        text += ", with group norms"
    return text
