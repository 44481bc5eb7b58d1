"""The set criterion over two real ranks: averaged gradients and losses are those of one rank."""

from __future__ import annotations

import pytest

TWO_RANKS = """
import sys
from dataclasses import replace

import torch
from torch import distributed

sys.path.insert(0, sys.argv[1])
from bm_set_criterion import our_criterion, random_case

torch.set_num_threads(1)
rank = int(sys.argv[3])


def gradient(criterion, predictions, targets, keep):
    # A model of one parameter per query, the same for all images.
    own = torch.isin(targets.image_index, keep)
    targets = replace(
        targets, boxes=targets.boxes[own], labels=targets.labels[own], masks=targets.masks[own],
        image_index=torch.searchsorted(keep, targets.image_index[own]),
        image_sizes=targets.image_sizes[keep])
    parameter = torch.ones(predictions.num_queries, 1, dtype=torch.float64, requires_grad=True)
    predictions = replace(
        predictions, class_logits=predictions.class_logits.detach()[:, keep] * parameter,
        boxes_norm=predictions.boxes_norm.detach()[:, keep] * parameter,
        mask_logits=predictions.mask_logits.detach()[keep] * parameter[..., None])
    losses = criterion(predictions, targets)
    sum(losses.values()).backward()
    return parameter.grad, torch.stack([loss.detach() for loss in losses.values()])


keep = torch.tensor([[0, 2], [1, 3]][rank])
cases = [
    (our_criterion(kind), *random_case(
        1, objects=objects, queries=15, logits=92, layers=3, dtype=torch.float64, masks=(24, 32)))
    for kind in ("detr", "anchor_detr")
    for objects in ([3, 9, 5, 1], [4, 0, 6, 0], [0, 0, 0, 0])
]
expected = [gradient(*case, torch.arange(4)) for case in cases]
distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
for case, wholes in zip(cases, expected, strict=True):
    for part, whole in zip(gradient(*case, keep), wholes, strict=True):
        distributed.all_reduce(part)
        difference = (part / 2 - whole).abs().max()
        assert difference <= 1e-12 * whole.abs().max(), (case[0], difference, whole)
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_give_the_gradients_of_one(run_two_ranks) -> None:
    """With unequal shares, without objects on one rank, and without any."""
    run_two_ranks(TWO_RANKS)
