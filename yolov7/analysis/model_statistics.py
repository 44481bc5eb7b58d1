"""Size and cost of a detector, before and after reparameterisation, without making its weights."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from yolov7.d2 import CfgNode, ImageList
from yolov7.layers import deform_conv_flops
from yolov7.modeling import build_detector
from yolov7.modeling.meta_arch import Detector
from yolov7.modeling.reparameterization import reparameterized_copy
from yolov7.utils.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class PartStatistics:
    """Size and cost of one part; `deploy` is after reparameterisation.

    Attributes:
        name: of the part in the model, such as `backbone`.
        parameters, parameters_deploy: numbers of parameters; buffers do not count.
        gflops, gflops_deploy: 1e-9 × floating-point operations of convolutions and matrix
            products for one image, a multiplication with its addition counted as two.
    """

    name: str
    parameters: int
    parameters_deploy: int
    gflops: float
    gflops_deploy: float


@dataclasses.dataclass(frozen=True)
class ModelStatistics:
    """Size and cost of a whole model; fields as in `PartStatistics`.

    Attributes:
        input_size: (height, width) of the padded image that the operations are counted for.
        parts: the model's parts that hold parameters or do counted work.
    """

    parameters: int
    parameters_deploy: int
    gflops: float
    gflops_deploy: float
    input_size: tuple[int, int]
    parts: tuple[PartStatistics, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain containers for JSON."""
        return {**dataclasses.asdict(self), "input_size": list(self.input_size)}


def analyze_config(cfg: CfgNode) -> ModelStatistics:
    """Measure the model that a config describes, at `INPUT.INPUT_SIZE`.

    The model lives on the meta device: no memory for weights, no arithmetic, on any machine.

    Raises:
        ConfigError: the config does not describe a `Detector`.
    """
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_detector(cfg)
    if not isinstance(model, Detector):
        raise ConfigError(
            f"MODEL.META_ARCHITECTURE: {cfg.MODEL.META_ARCHITECTURE} is no Detector of this "
            "project, which is what can be analysed"
        )
    return analyze_model(model, cfg.INPUT.INPUT_SIZE)


def analyze_model(model: Detector, input_size: Sequence[int]) -> ModelStatistics:
    """Measure a detector for images of (height, width), which the model's padding rounds up."""
    batch_size = model.padding([tuple(input_size)]).batch_size
    deployed = reparameterized_copy(model)
    flops, flops_deploy = (count_flops(each, batch_size) for each in (model, deployed))
    parts = []
    for name, part in model.named_children():
        statistics = PartStatistics(
            name=name,
            parameters=count_parameters(part),
            parameters_deploy=count_parameters(getattr(deployed, name)),
            gflops=flops[name] / 1e9,
            gflops_deploy=flops_deploy[name] / 1e9,
        )
        if statistics.parameters or statistics.gflops:
            parts.append(statistics)
    return ModelStatistics(
        parameters=count_parameters(model),
        parameters_deploy=count_parameters(deployed),
        gflops=flops.total() / 1e9,
        gflops_deploy=flops_deploy.total() / 1e9,
        input_size=batch_size,
        parts=tuple(parts),
    )


def count_parameters(module: nn.Module | None) -> int:
    """Number of parameters, shared ones once; 0 for no module."""
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())


def flop_counter() -> FlopCounterMode:
    """torch's counter of operations, silent, which knows deformable convolutions too."""
    others = {torch.ops.torchvision.deform_conv2d: deform_conv_flops}
    return FlopCounterMode(display=False, custom_mapping=others)


@torch.enable_grad()
def count_flops(model: Detector, batch_size: tuple[int, int]) -> Counter[str]:
    """Floating-point operations of each part of a detector for one image of (height, width).

    Counted are convolutions (of deformable ones the sums over the taps) and matrix products in
    eval mode, two for a multiply-add; not biases, norms, activations, pooling or post-processing.
    An auxiliary head counts while it is there.
    Gradients stay on: the counter asks a module's inputs for their history, and refuses views of
    parameters, such as a transformer's queries, that have none.
    """
    flops: Counter[str] = Counter()
    was_training = model.training
    image = torch.empty((1, len(model.pixel_mean), *batch_size), dtype=model.pixel_mean.dtype)
    images = ImageList(image.to(model.device), [batch_size])
    hooks = []
    with flop_counter() as counter:
        for name, part in model.named_children():

            def before(module: nn.Module, args: Any, name: str = name) -> None:
                flops[name] -= counter.get_total_flops()

            def after(module: nn.Module, args: Any, output: Any, name: str = name) -> None:
                flops[name] += counter.get_total_flops()

            hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        try:
            model.eval()
            features = model.neck(model.backbone(images.tensor))
            for head in (model.head, model.auxiliary_head):
                if head is not None:
                    head(features, images)
        finally:
            for hook in hooks:
                hook.remove()
            model.train(was_training)
    return flops
