"""Which of detectron2's keys this framework obeys, so that none is ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator

from yolov7.d2 import CfgNode, get_cfg

HONOURED = frozenset(
    {
        "VERSION", "OUTPUT_DIR", "SEED", "VIS_PERIOD", "CUDNN_BENCHMARK",
        "MODEL.DEVICE", "MODEL.META_ARCHITECTURE", "MODEL.WEIGHTS", "MODEL.MASK_ON",
        "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD", "MODEL.BACKBONE.NAME",
        "MODEL.BACKBONE.FREEZE_AT",
        "MODEL.RESNETS.DEPTH", "MODEL.RESNETS.NORM", "MODEL.RESNETS.NUM_GROUPS",
        "MODEL.RESNETS.WIDTH_PER_GROUP", "MODEL.RESNETS.STRIDE_IN_1X1",
        "MODEL.RESNETS.RES5_DILATION", "MODEL.RESNETS.RES2_OUT_CHANNELS",
        "MODEL.RESNETS.STEM_OUT_CHANNELS", "MODEL.RESNETS.DEFORM_ON_PER_STAGE",
        "INPUT.FORMAT", "INPUT.RANDOM_FLIP",
        "INPUT.MIN_SIZE_TRAIN", "INPUT.MIN_SIZE_TRAIN_SAMPLING", "INPUT.MAX_SIZE_TRAIN",
        "INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST",
        "DATASETS.TRAIN", "DATASETS.TEST",
        "DATALOADER.NUM_WORKERS", "DATALOADER.FILTER_EMPTY_ANNOTATIONS",
        "DATALOADER.SAMPLER_TRAIN", "DATALOADER.REPEAT_THRESHOLD", "DATALOADER.REPEAT_SQRT",
        "SOLVER.LR_SCHEDULER_NAME", "SOLVER.MAX_ITER", "SOLVER.BASE_LR", "SOLVER.BASE_LR_END",
        "SOLVER.MOMENTUM", "SOLVER.NESTEROV", "SOLVER.WEIGHT_DECAY", "SOLVER.WEIGHT_DECAY_NORM",
        "SOLVER.WEIGHT_DECAY_BIAS", "SOLVER.BIAS_LR_FACTOR", "SOLVER.GAMMA", "SOLVER.STEPS",
        "SOLVER.WARMUP_FACTOR", "SOLVER.WARMUP_ITERS", "SOLVER.WARMUP_METHOD",
        "SOLVER.RESCALE_INTERVAL",
        "SOLVER.CHECKPOINT_PERIOD", "SOLVER.IMS_PER_BATCH", "SOLVER.AMP.ENABLED",
        "SOLVER.CLIP_GRADIENTS.ENABLED", "SOLVER.CLIP_GRADIENTS.CLIP_TYPE",
        "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "SOLVER.CLIP_GRADIENTS.NORM_TYPE",
        "TEST.EVAL_PERIOD", "TEST.DETECTIONS_PER_IMAGE", "TEST.AUG.ENABLED",
    }
)  # fmt: skip

# Obeyed only with INPUT.RESIZE "short_side"; other pictures are fitted into INPUT.INPUT_SIZE.
_OF_SHORT_SIDE = ("INPUT.MIN_SIZE_", "INPUT.MAX_SIZE_")

# Sections that belong to components of detectron2 itself: they are read by the component that is
# named in the config, or by nothing.
_COMPONENT_SECTIONS = (
    "MODEL.FPN", "MODEL.PROPOSAL_GENERATOR", "MODEL.ANCHOR_GENERATOR", "MODEL.RPN",
    "MODEL.ROI_HEADS", "MODEL.ROI_BOX_HEAD", "MODEL.ROI_BOX_CASCADE_HEAD", "MODEL.ROI_MASK_HEAD",
    "MODEL.ROI_KEYPOINT_HEAD", "MODEL.SEM_SEG_HEAD", "MODEL.PANOPTIC_FPN", "MODEL.RETINANET",
    "MODEL.RESNETS",
)  # fmt: skip


def changed_but_not_honoured(cfg: CfgNode) -> list[str]:
    """Name the detectron2 keys that `cfg` changes and that nothing here reads.

    Returns:
        Dotted names, sorted; sections of detectron2's own components are left out.
    """
    return sorted(
        name
        for name, default in leaves(get_cfg())
        if not _is_honoured(cfg, name)
        and not name.startswith(_COMPONENT_SECTIONS)
        and _value(cfg, name) != default
    )


def _is_honoured(cfg: CfgNode, name: str) -> bool:
    if name.startswith(_OF_SHORT_SIDE) and cfg.INPUT.RESIZE != "short_side":
        return False
    return name in HONOURED


def leaves(cfg: CfgNode, section: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value) of every key of `cfg` that is not a section."""
    for key, value in cfg.items():
        name = f"{section}.{key}" if section else key
        if isinstance(value, CfgNode):
            yield from leaves(value, name)
        else:
            yield name, value


def _value(cfg: CfgNode, name: str) -> object:
    for key in name.split("."):
        cfg = cfg[key]
    return cfg
