"""Losses without reduction, and the criteria that put them together."""

from yolov7.modeling.losses.anchor import AnchorCriterion
from yolov7.modeling.losses.auxiliary import AuxiliaryCriterion
from yolov7.modeling.losses.box import ciou, diou, giou, iou, iou_squared
from yolov7.modeling.losses.classic import ClassicCriterion
from yolov7.modeling.losses.classification import bce, focal, sigmoid_l1
from yolov7.modeling.losses.darknet import DarknetCriterion
from yolov7.modeling.losses.dense import DenseCriterion
from yolov7.modeling.losses.diagnostics import log_diagnostics
from yolov7.modeling.losses.mask import dice, mask_focal
from yolov7.modeling.losses.normalization import rank_normalizer
from yolov7.modeling.losses.set_classes import FocalClassLoss, SoftmaxClassLoss
from yolov7.modeling.losses.set_criterion import SetCriterion
from yolov7.modeling.losses.yolof import YOLOFCriterion

__all__ = [
    "AnchorCriterion",
    "AuxiliaryCriterion",
    "ClassicCriterion",
    "DarknetCriterion",
    "DenseCriterion",
    "FocalClassLoss",
    "SetCriterion",
    "SoftmaxClassLoss",
    "YOLOFCriterion",
    "bce",
    "ciou",
    "dice",
    "diou",
    "focal",
    "giou",
    "iou",
    "iou_squared",
    "log_diagnostics",
    "mask_focal",
    "rank_normalizer",
    "sigmoid_l1",
]
