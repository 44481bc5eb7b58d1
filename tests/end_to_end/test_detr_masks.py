"""Masks of DETR: trained together with the detector, then on it while it is frozen."""

import json

import pytest
import torch
from pycocotools import mask as coco_mask

pytestmark = pytest.mark.end_to_end

SHORT = [
    "MODEL.DEVICE", "cpu", "INPUT.INPUT_SIZE", "[96, 96]", "MODEL.NECK.CHANNELS", "64",
    "MODEL.DETR.NUM_OBJECT_QUERIES", "10", "MODEL.DETR.DEC_LAYERS", "1", "SOLVER.LOG_PERIOD", "1",
    "SOLVER.IMS_PER_BATCH", "4", "SOLVER.MAX_ITER", "32", "SOLVER.WARMUP_ITERS", "4",
    "SOLVER.BASE_LR", "0.002", "SOLVER.CHECKPOINT_PERIOD", "0", "SOLVER.AMP.ENABLED", "True",
    "TEST.EVAL_PERIOD", "0", "TEST.VALIDATION_LOSS", "True",
    # What learns masks in so few steps: no augmentation, layers that normalise their results.
    "INPUT.HSV_SHIFT.ENABLED", "False", "INPUT.RANDOM_AFFINE.ENABLED", "False",
    "MODEL.DETR.PRE_NORM", "False", "MODEL.DETR.ENC_LAYERS", "3",
    "MODEL.CRITERION.CLASS_WEIGHT", "1.0", "MODEL.ASSIGNER.CLASS_COST", "1.0",
]  # fmt: skip
LOSSES = ("loss_mask", "loss_dice")


def train(runner, folder, *opts):
    """Train the small DETR with masks and evaluate it at the end."""
    config = runner.root / "configs" / "digits" / "detr_small_masks.yaml"
    arguments = ["--config-file", config, "OUTPUT_DIR", folder, *SHORT, *opts]
    run = runner.start_script(runner.root / "train_net.py", folder, arguments, {})
    run.wait()
    return run


def mean_of_mask_losses(run, iterations):
    entries = [run.metrics()[iteration] for iteration in iterations]
    return sum(entry[name] for entry in entries for name in LOSSES) / len(entries)


def detections(run):
    return json.loads((run.folder / "inference" / "coco_instances_results.json").read_text())


@pytest.fixture(scope="module")
def together(runner, tmp_path_factory):
    return train(runner, tmp_path_factory.mktemp("together") / "run")


def test_masks_improve_and_are_evaluated(together):
    first, last = (mean_of_mask_losses(together, span) for span in (range(4), range(28, 32)))
    assert last < 0.9 * first
    final = together.metrics()[32]
    assert {"bbox/AP", "segm/AP", "segm/AP50"} <= final.keys()
    assert all(final[f"validation/{name}"] > 0 for name in LOSSES)
    results = detections(together)
    # Every query of every picture, over the whole picture.
    assert len(results) == 8 * 10
    assert all(result["segmentation"]["size"] == [96, 96] for result in results)
    assert any(coco_mask.area(result["segmentation"]) > 0 for result in results)


def test_a_frozen_detector_is_left_as_it_is(runner, together, tmp_path):
    weights = together.folder / "model_final.pth"
    opts = ["MODEL.WEIGHTS", weights, "MODEL.DETR.FREEZE_DETECTOR", "True"]
    run = train(runner, tmp_path / "run", *opts)
    before, after = (each.checkpoint()["model"] for each in (together, run))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    masks = {name for name in after if name.startswith("head.mask_head.")}
    assert changed == masks
    assert mean_of_mask_losses(run, range(28, 32)) < mean_of_mask_losses(together, range(28, 32))
    boxes = [[(found["bbox"], found["score"]) for found in detections(r)] for r in (together, run)]
    assert boxes[0] == boxes[1]
