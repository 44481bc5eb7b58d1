"""The set criterion against those of DETR's and Anchor DETR's authors: losses and time.

The authors' programs are black boxes and no part of this project; each needs a process of its own,
since both call their packages `models` and `util`.

git clone https://github.com/facebookresearch/detr /tmp/detr
OMP_NUM_THREADS=1 python benchmarks/bm_set_criterion.py --peer /tmp/detr
git clone https://github.com/megvii-research/AnchorDETR /tmp/anchor_detr
OMP_NUM_THREADS=1 python benchmarks/bm_set_criterion.py --peer /tmp/anchor_detr --kind anchor_detr
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from harness import compare, write_result
from torch import Tensor

from yolov7.config import get_config
from yolov7.modeling import build_criterion
from yolov7.modeling.losses import SetCriterion
from yolov7.modeling.normalized_boxes import normalized_boxes
from yolov7.modeling.query_predictions import QueryPredictions
from yolov7.modeling.targets import Targets

CLASSES = 91
Case = tuple[QueryPredictions, Targets]
Losses = Callable[[Case], dict[str, Tensor]]


def random_case(
    seed: int,
    *,
    objects: list[int],
    queries: int,
    logits: int,
    layers: int = 6,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    masks: tuple[int, int] | None = None,
) -> Case:
    """Random predictions, `objects[b]` random objects in image b, perhaps masks of a size."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    count = sum(objects)
    sizes = torch.randint(300, 900, (len(objects), 2), generator=generator)
    image_index = torch.arange(len(objects)).repeat_interleave(torch.tensor(objects))
    low, side = 0.8 * uniform(count, 2), 0.02 + 0.18 * uniform(count, 2)
    frames = sizes[image_index].flip(1).repeat(1, 2)
    targets = Targets(
        boxes=(torch.cat([low, low + side], dim=1) * frames).to(device, dtype),
        labels=torch.randint(min(logits, CLASSES), (count,), generator=generator).to(device),
        image_index=image_index.to(device),
        image_sizes=sizes.to(device),
        masks=None if masks is None else (uniform(count, *masks) > 0.7).to(device),
    )
    shape = (layers, len(objects), queries)
    low, extent = torch.tensor([[0.2, 0.2, 0.02, 0.02], [0.6, 0.6, 0.5, 0.5]]).double()
    predictions = QueryPredictions(
        class_logits=(8 * uniform(*shape, logits) - 5).to(device, dtype).requires_grad_(),
        boxes_norm=(low + extent * uniform(*shape, 4)).to(device, dtype).requires_grad_(),
        mask_logits=None
        if masks is None
        else (8 * uniform(len(objects), queries, 12, 16) - 4).to(device, dtype).requires_grad_(),
    )
    return predictions, targets


def our_criterion(kind: str) -> SetCriterion:
    """SetCriterion with the authors' numbers."""
    cfg = get_config()
    cfg.MODEL.CRITERION.NAME, cfg.MODEL.ASSIGNER.NAME = "SetCriterion", "HungarianMatcher"
    node, assigner = cfg.MODEL.CRITERION, cfg.MODEL.ASSIGNER
    node.CLASS_LOSS = {"detr": "softmax", "anchor_detr": "focal"}[kind]
    node.CLASS_WEIGHT = assigner.CLASS_COST = {"detr": 1.0, "anchor_detr": 2.0}[kind]
    node.L1_WEIGHT = assigner.L1_COST = 5.0
    node.BOX_WEIGHT = assigner.IOU_COST = 2.0
    node.BOX_LOSS = "giou"
    return build_criterion(cfg, of_queries=True)


def peer_losses(folder: Path, kind: str, *, with_masks: bool) -> Losses:
    """The authors' criterion, under our names and with their weights."""
    sys.path.insert(0, str(folder))
    matcher = importlib.import_module("models.matcher").HungarianMatcher(
        cost_class={"detr": 1, "anchor_detr": 2}[kind], cost_bbox=5, cost_giou=2
    )
    weights = {"labels": {"detr": 1, "anchor_detr": 2}[kind], "boxes": 5, "giou": 2}
    losses = ["labels", "boxes", *(["masks"] if with_masks else [])]
    if kind == "detr":
        module = importlib.import_module("models.detr")
        criterion = module.SetCriterion(CLASSES, matcher, {}, eos_coef=0.1, losses=losses)
        # Made in float32, from which float64 would inherit the rounding of 0.1.
        criterion.empty_weight = criterion.empty_weight.double().fill_(1)
        criterion.empty_weight[-1] = 0.1
    else:
        module = importlib.import_module("models.anchor_detr")
        criterion = module.SetCriterion(CLASSES, matcher, {}, losses)
    names = {
        "loss_ce": ("loss_class", weights["labels"]),
        "loss_bbox": ("loss_l1", weights["boxes"]),
        "loss_giou": ("loss_box", weights["giou"]),
        "loss_mask": ("loss_mask", 1),
        "loss_dice": ("loss_dice", 1),
    }

    def run(case: Case) -> dict[str, Tensor]:
        predictions, targets = case
        criterion.to(predictions.class_logits)
        layers = [
            {"pred_logits": logits, "pred_boxes": boxes}
            for logits, boxes in zip(predictions.class_logits, predictions.boxes_norm, strict=True)
        ]
        outputs = {**layers[-1], "aux_outputs": layers[:-1]}
        if predictions.mask_logits is not None:
            outputs["pred_masks"] = predictions.mask_logits
        boxes = normalized_boxes(targets, targets.boxes.dtype)
        wanted = []
        for image in range(targets.num_images):
            own = targets.image_index == image
            objects = {"boxes": boxes[own], "labels": targets.labels[own]}
            if targets.masks is not None:
                objects["masks"] = targets.masks[own]
            wanted.append(objects)
        found = {}
        for key, loss in criterion(outputs, wanted).items():
            stem = "_".join(key.split("_")[:2])
            if stem in names:
                name, weight = names[stem]
                found[name + key[len(stem) :]] = weight * loss
        return found

    return run


def largest_difference(ours: Losses, peer: Losses, kind: str, *, with_masks: bool) -> float:
    """The largest relative difference of losses and gradients over random cases in float64."""
    worst = 0.0
    for seed in range(12):
        objects = [[3, 0, 7, 20], [1], [0, 2], [0, 0], [20, 20, 20, 20], [5, 4, 3]][seed % 6]
        case = random_case(
            seed,
            objects=objects,
            queries=[25, 100][seed % 2],
            logits=CLASSES + (kind == "detr"),
            dtype=torch.float64,
            masks=(48, 64) if with_masks else None,
        )
        results = [losses(case) for losses in (ours, peer)]
        if set(results[0]) != set(results[1]):
            raise SystemExit(f"losses differ by name: {sorted(set(results[0]) ^ set(results[1]))}")
        leaves = [leaf for leaf in vars(case[0]).values() if leaf is not None]
        gradients = [torch.autograd.grad(sum(result.values()), leaves) for result in results]
        pairs = [(results[0][name], results[1][name]) for name in results[0]]
        for mine, theirs in (*pairs, *zip(*gradients, strict=True)):
            mine, theirs = mine.detach(), theirs.detach()
            scale = max(theirs.abs().max().item(), 1e-3)
            worst = max(worst, (mine - theirs).abs().max().item() / scale)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="the authors' checkout")
    parser.add_argument("--kind", choices=("detr", "anchor_detr"), default="detr")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--objects", type=int, default=20, help="of each image")
    parser.add_argument("--queries", type=int, help="default: 100, Anchor DETR 900")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    kind = arguments.kind
    ours, with_masks = our_criterion(kind), kind == "detr"
    peer = peer_losses(arguments.peer, kind, with_masks=False)

    def mine(case: Case) -> dict[str, Tensor]:
        return ours(*case)

    masks = peer_losses(arguments.peer, kind, with_masks=True) if with_masks else None
    result = {
        "settings": {key: value for key, value in vars(arguments).items() if key != "peer"},
        "largest_relative_difference": largest_difference(mine, peer, kind, with_masks=False),
    }
    if masks is not None:
        result["with_masks"] = largest_difference(mine, masks, kind, with_masks=True)
    case = random_case(
        0,
        objects=[arguments.objects] * arguments.images,
        queries=arguments.queries or {"detr": 100, "anchor_detr": 900}[kind],
        logits=CLASSES + (kind == "detr"),
        device=arguments.device,
    )
    leaves = [case[0].class_logits, case[0].boxes_norm]

    def step(losses: Losses) -> Callable[[], None]:
        def run() -> None:
            torch.autograd.grad(sum(losses(case).values()), leaves)
            if arguments.device != "cpu":
                torch.cuda.synchronize()

        return run

    result["seconds"] = compare(
        {"ours": step(mine), "authors": step(peer)}, repeats=arguments.repeats
    )
    file = write_result(f"set_criterion_{kind}", result)
    sys.stdout.write(json.dumps(result, indent=2) + f"\n{file}\n")


if __name__ == "__main__":
    main()
