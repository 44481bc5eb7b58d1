"""The seam to detectron2: every detectron2 name that this framework stands on.

    from yolov7.d2 import Boxes, Instances, configurable

Where detectron2 is installed, these are its own objects, so that models, data and hooks can be
exchanged with its ecosystem; elsewhere they are those of `yolov7.d2.embedded`. This is decided once
per process, for all names together: the environment variable `YOLOV7_D2` may say `detectron2`,
`embedded`, or `auto` (the default).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from yolov7.d2.branch import choose_branch

# Concept (its file in `embedded/`), where detectron2 has it, and the names.
_CONCEPTS: dict[str, tuple[str, tuple[str, ...]]] = {
    # Configs
    "cfg_node": ("detectron2.config", ("CfgNode",)),
    "default_config": ("detectron2.config", ("get_cfg",)),
    "configurable": ("detectron2.config", ("configurable",)),
    "lazy_config": ("detectron2.config", ("LazyCall", "LazyConfig")),
    "instantiate": ("detectron2.config", ("instantiate",)),
    # Registries
    "registries": (
        "detectron2.modeling",
        ("META_ARCH_REGISTRY", "BACKBONE_REGISTRY", "build_model", "build_backbone"),
    ),
    "registry": ("detectron2.utils.registry", ("Registry",)),
    "locate": ("detectron2.utils.registry", ("locate",)),
    # Networks
    "shape_spec": ("detectron2.layers", ("ShapeSpec",)),
    "backbone": ("detectron2.modeling", ("Backbone",)),
    "detector_postprocess": ("detectron2.modeling.postprocessing", ("detector_postprocess",)),
    # Structures
    "box_mode": ("detectron2.structures", ("BoxMode",)),
    "boxes": ("detectron2.structures", ("Boxes",)),
    "box_overlap": ("detectron2.structures", ("pairwise_iou", "pairwise_ioa")),
    "instances": ("detectron2.structures", ("Instances",)),
    "image_list": ("detectron2.structures", ("ImageList",)),
    "bit_masks": ("detectron2.structures", ("BitMasks",)),
    "polygon_masks": ("detectron2.structures", ("PolygonMasks", "polygons_to_bitmask")),
    # Data
    "catalog": ("detectron2.data", ("DatasetCatalog", "MetadataCatalog", "Metadata")),
    "coco_load": ("detectron2.data.datasets", ("load_coco_json", "register_coco_instances")),
    "coco_export": ("detectron2.data.datasets.coco", ("convert_to_coco_dict",)),
    "augmentation": (
        "detectron2.data.transforms",
        ("Augmentation", "AugmentationList", "AugInput", "Transform", "TransformList"),
    ),
    # Training and evaluation
    "event_storage": (
        "detectron2.utils.events",
        ("EventStorage", "get_event_storage", "has_event_storage"),
    ),
    "event_writers": (
        "detectron2.utils.events",
        ("EventWriter", "JSONWriter", "CommonMetricPrinter"),
    ),
    "hook_base": ("detectron2.engine", ("HookBase",)),
    "dataset_evaluator": ("detectron2.evaluation", ("DatasetEvaluator",)),
    # Files and processes
    "path_manager": ("detectron2.utils.file_io", ("PathManager",)),
    "comm": (
        "detectron2.utils.comm",
        (
            "get_rank",
            "get_world_size",
            "get_local_rank",
            "get_local_size",
            "is_main_process",
            "create_local_process_group",
            "synchronize",
            "all_gather",
            "gather",
            "reduce_dict",
            "shared_random_seed",
        ),
    ),
}

BRANCH = choose_branch()

for _concept, (_home, _names) in _CONCEPTS.items():
    _module = importlib.import_module(
        _home if BRANCH == "detectron2" else f"yolov7.d2.embedded.{_concept}"
    )
    globals().update({_name: getattr(_module, _name) for _name in _names})

__all__ = [_name for _, _names in _CONCEPTS.values() for _name in _names]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Tell type checkers that the names above exist; what they are is known at run time."""
