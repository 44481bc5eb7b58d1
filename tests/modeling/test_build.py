import pytest

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.modeling import (
    build_assigner,
    build_backbone,
    build_criterion,
    build_detector,
    build_head,
    build_neck,
    build_postprocessor,
)
from yolov7.utils.errors import ConfigError

SHAPE = {"p3": ShapeSpec(channels=8, stride=8)}


@pytest.mark.parametrize(
    ("section", "wrong", "right", "build"),
    [
        ("META_ARCHITECTURE", "YOLX", "YOLOX", build_detector),
        ("BACKBONE", "CSPDarkNet53", "CSPDarknet53", build_backbone),
        ("NECK", "CSPPAPFN", "CSPPAFPN", lambda cfg: build_neck(cfg, SHAPE)),
        ("HEAD", "DecoupeldHead", "DecoupledHead", lambda cfg: build_head(cfg, SHAPE)),
        ("ASSIGNER", "SimOTTA", "SimOTA", build_assigner),
        ("CRITERION", "DenseCriterium", "DenseCriterion", build_criterion),
    ],
)
def test_unknown_name_is_an_error_with_key_and_suggestion(section, wrong, right, build):
    cfg = get_config()
    if section == "META_ARCHITECTURE":
        cfg.MODEL.META_ARCHITECTURE, key = wrong, "MODEL.META_ARCHITECTURE"
    else:
        cfg.MODEL[section].NAME, key = wrong, f"MODEL.{section}.NAME"
    with pytest.raises(ConfigError) as error:
        build(cfg)
    assert str(error.value).startswith(f"{key}: there is no '{wrong}'. Did you mean '{right}'?")


def test_unknown_postprocessor():
    with pytest.raises(ConfigError, match="Did you mean 'DensePostprocessor'"):
        build_postprocessor(get_config(), name="DensePostprocesor")


@pytest.mark.parametrize(
    ("section", "name", "of_queries", "message"),
    [
        ("ASSIGNER", "SimOTA", True, "for dense predictions, .* are queries.*: HungarianMatcher$"),
        ("ASSIGNER", "HungarianMatcher", False, "for queries, .* are dense .*OTA, SimOTA"),
        ("CRITERION", "DenseCriterion", True, "for dense predictions, .*: SetCriterion$"),
        ("CRITERION", "SetCriterion", False, "for queries, .*DenseCriterion"),
    ],
)
def test_parts_for_other_predictions_are_refused(section, name, of_queries, message):
    cfg = get_config()
    cfg.MODEL[section].NAME = name
    build = {"ASSIGNER": build_assigner, "CRITERION": build_criterion}[section]
    with pytest.raises(ConfigError, match=f"MODEL.{section}.NAME: {name} is {message}"):
        build(cfg, of_queries=of_queries)


@pytest.mark.parametrize("family", ["YOLOX", "YOLOV4", "YOLOF"])
def test_families_without_an_auxiliary_head_do_not_ignore_it(family):
    cfg = get_config()
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.AUXILIARY_HEAD.CHANNELS = family, [8, 8, 8]
    with pytest.raises(
        ConfigError, match=rf"CHANNELS: expected \[\] for META_ARCHITECTURE {family}"
    ):
        build_detector(cfg)
