from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolov7.config import get_config
from yolov7.modeling import build_criterion
from yolov7.modeling.assignment import (
    OTA,
    AnchorRatio,
    CoarseToFine,
    Independent,
    LeadGuided,
)
from yolov7.modeling.box_coders import YOLOv7BoxCoder
from yolov7.modeling.losses import AnchorCriterion, AuxiliaryCriterion, bce, ciou
from yolov7.modeling.losses.anchor import LOSS_NAMES
from yolov7.utils.errors import ConfigError

CODER = YOLOv7BoxCoder()
AUXILIARY_NAMES = ("loss_auxiliary_box", "loss_auxiliary_objectness", "loss_auxiliary_class")


def lead_criterion(assigner=None) -> AnchorCriterion:
    return AnchorCriterion(
        assigner=assigner or OTA(top_k=20),
        box_coder=CODER,
        box_loss=ciou,
        class_loss=bce,
        objectness_loss=bce,
        loss_weights={"loss_box": 0.05, "loss_objectness": 0.7, "loss_class": 0.3},
        level_balance=(4.0, 1.0, 0.25, 0.06),
        batch_size=2,
    )


def auxiliary_losses(losses: dict) -> list[float]:
    assert tuple(losses) == LOSS_NAMES + AUXILIARY_NAMES
    return [losses[name].item() for name in AUXILIARY_NAMES]


def plain_losses(recipe, assigner) -> list[float]:
    """The auxiliary head's losses as if it were alone."""
    losses = lead_criterion(assigner)(recipe.auxiliary, recipe.targets)
    return [loss.item() for loss in losses.values()]


def test_independent_labels_are_those_of_the_auxiliary_head_alone(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    criterion = AuxiliaryCriterion(
        lead=lead_criterion(),
        guidance=Independent(assigner=OTA(top_k=20), box_coder=CODER),
        auxiliary_weight=0.5,
    )
    losses = criterion(recipe.predictions, recipe.targets, recipe.auxiliary)
    expected = [0.5 * loss for loss in plain_losses(recipe, OTA(top_k=20))]
    assert auxiliary_losses(losses) == pytest.approx(expected)
    lead = lead_criterion()(recipe.predictions, recipe.targets)
    assert [losses[name].item() for name in LOSS_NAMES] == [lead[name].item() for name in lead]


@pytest.mark.parametrize("cells", [3, 5])
def test_guided_labels_are_the_leads(yolov7_p6_recipe, cells: int) -> None:
    recipe = yolov7_p6_recipe
    guidance = {
        3: LeadGuided(),
        5: CoarseToFine(assigner=OTA(top_k=20).with_num_cells(5)),
    }[cells]
    criterion = AuxiliaryCriterion(lead=lead_criterion(), guidance=guidance)
    losses = criterion(recipe.predictions, recipe.targets, recipe.auxiliary)

    def by_the_lead(predictions, boxes, targets):
        boxes = CODER.decode(recipe.predictions.box_deltas, *recipe.predictions.places())
        return OTA(top_k=20, num_cells=cells)(recipe.predictions, boxes, targets)

    expected = [0.25 * loss for loss in plain_losses(recipe, by_the_lead)]
    assert auxiliary_losses(losses) == pytest.approx(expected)
    alone = [0.25 * loss for loss in plain_losses(recipe, OTA(top_k=20))]
    assert auxiliary_losses(losses) != pytest.approx(alone), "the guidance matters"


def test_the_assigner_runs_once_for_lead_guided_labels(yolov7_p6_recipe) -> None:
    recipe, calls = yolov7_p6_recipe, []

    def assigner(*arguments):
        calls.append(arguments)
        return OTA()(*arguments)

    criterion = AuxiliaryCriterion(lead=lead_criterion(assigner), guidance=LeadGuided())
    criterion(recipe.predictions, recipe.targets, recipe.auxiliary)
    assert len(calls) == 1


def test_without_objects_all_keys_hang_on_the_graph(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    nothing = replace(
        recipe.targets,
        boxes=recipe.targets.boxes[:0],
        labels=recipe.targets.labels[:0],
        image_index=recipe.targets.image_index[:0],
    )
    criterion = AuxiliaryCriterion(
        lead=lead_criterion(), guidance=CoarseToFine(assigner=AnchorRatio(num_cells=5))
    )
    losses = criterion(recipe.predictions, nothing, recipe.auxiliary)
    assert tuple(losses) == LOSS_NAMES + AUXILIARY_NAMES
    gradients = torch.autograd.grad(sum(losses.values()), recipe.maps)
    assert all(bool(gradient.any()) for gradient in gradients), "objectness of every level"
    assert losses["loss_box"].item() == losses["loss_auxiliary_class"].item() == 0


def test_sums_are_the_losses_times_the_images(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    criterion = AuxiliaryCriterion(lead=lead_criterion(), guidance=LeadGuided())
    losses = criterion(recipe.predictions, recipe.targets, recipe.auxiliary)
    sums, images = criterion.sums(recipe.predictions, recipe.targets, recipe.auxiliary)
    assert images == 2
    assert set(sums) == set(losses)
    for name, loss in losses.items():
        torch.testing.assert_close(sums[name], 2 * loss)


def test_one_class_hides_the_logits_of_both_heads(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    lead, auxiliary = (
        replace(head, class_logits=head.class_logits[..., :1])
        for head in (recipe.predictions, recipe.auxiliary)
    )
    targets = replace(recipe.targets, labels=torch.zeros_like(recipe.targets.labels))
    for guidance in (
        LeadGuided(),
        CoarseToFine(assigner=OTA(num_cells=5)),
        Independent(assigner=OTA(), box_coder=CODER),
    ):
        criterion = AuxiliaryCriterion(lead=lead_criterion(), guidance=guidance)
        expected = criterion(lead, targets, auxiliary)
        flipped = criterion(
            replace(lead, class_logits=-lead.class_logits),
            targets,
            replace(auxiliary, class_logits=-auxiliary.class_logits),
        )
        assert expected["loss_auxiliary_class"].item() == 0
        assert {k: v.item() for k, v in flipped.items()} == {
            k: v.item() for k, v in expected.items()
        }


def test_wrong_use_is_named(yolov7_p6_recipe) -> None:
    recipe = yolov7_p6_recipe
    criterion = AuxiliaryCriterion(lead=lead_criterion(), guidance=LeadGuided())
    with pytest.raises(ConfigError, match=r"MODEL\.AUXILIARY_HEAD\.CHANNELS, or take AnchorCrit"):
        criterion(recipe.predictions, recipe.targets, None)
    fewer = replace(recipe.auxiliary, class_logits=recipe.auxiliary.class_logits[..., :7])
    with pytest.raises(ValueError, match="must be equal"):
        criterion(recipe.predictions, recipe.targets, fewer)


def config(guidance: str):
    cfg = get_config()
    cfg.MODEL.ASSIGNER.NAME = "OTA"
    cfg.MODEL.ASSIGNER.TOP_K = 20
    cfg.MODEL.CRITERION.NAME = "AuxiliaryCriterion"
    cfg.MODEL.CRITERION.LEVEL_BALANCE = [4.0, 1.0, 0.25, 0.06]
    cfg.MODEL.CRITERION.AUXILIARY_WEIGHT = 0.5
    cfg.MODEL.CRITERION.GUIDANCE = guidance
    return cfg


def test_the_config_reaches_every_part() -> None:
    criterion = build_criterion(config("CoarseToFine"), box_coder=CODER)
    assert isinstance(criterion, AuxiliaryCriterion)
    assert criterion.auxiliary_weight == 0.5
    assert criterion.lead.level_balance == (4.0, 1.0, 0.25, 0.06)
    assert criterion.loss_weights is criterion.lead.loss_weights
    assert (criterion.lead.assigner.num_cells, criterion.guidance.assigner.num_cells) == (3, 5)
    assert criterion.guidance.assigner.top_k == 20
    cfg = config("CoarseToFine")
    cfg.MODEL.CRITERION.AUXILIARY_CELLS = 3
    assert build_criterion(cfg, box_coder=CODER).guidance.assigner.num_cells == 3
    assert isinstance(build_criterion(config("LeadGuided"), box_coder=CODER).guidance, LeadGuided)
    independent = build_criterion(config("Independent"), box_coder=CODER).guidance
    assert isinstance(independent, Independent)
    assert independent.box_coder is CODER
    assert independent.assigner.num_cells == 3


def test_names_that_do_not_fit_are_errors_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match=r"MODEL.CRITERION.GUIDANCE.*'LeadGuide'.*'LeadGuided'"):
        build_criterion(config("LeadGuide"), box_coder=CODER)
    cfg = config("CoarseToFine")
    cfg.MODEL.ASSIGNER.NAME = "SimOTA"
    with pytest.raises(ConfigError, match=r"CoarseToFine.*SimOTA.*OTA or AnchorRatio"):
        build_criterion(cfg, box_coder=CODER)
