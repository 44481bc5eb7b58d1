"""What criteria say that have no losses for an auxiliary head."""

from __future__ import annotations

from torch import nn

from yolov7.utils.errors import ConfigError


def refuse_auxiliary(criterion: nn.Module, auxiliary: object) -> None:
    """Refuse an auxiliary head or its predictions, which would be left untrained.

    Args:
        criterion: the one without losses for it; the message names its class.
        auxiliary: the head, or what it predicts; None for neither.

    Raises:
        ConfigError: it is not None.
    """
    if auxiliary is not None:
        raise ConfigError(
            f"MODEL.CRITERION.NAME: {type(criterion).__name__} has no losses for an auxiliary "
            "head. Set MODEL.AUXILIARY_HEAD.CHANNELS to [], or take AuxiliaryCriterion where it "
            "fits the head"
        )
