"""`MODEL.*`: the five parts of a detector and what they are built with."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_model_config(cfg: CfgNode) -> None:
    """Add our keys under `MODEL`."""
    model = cfg.MODEL

    # Value (0-255) of the pixels that pad a batch; the same in every channel.
    model.PADDED_VALUE = 114.0
    # What becomes of detections that overlap: "normal" (within a class) or "agnostic" suppression,
    # "cluster" (the same as normal, in parallel), "diou" (spares what has its centre elsewhere),
    # "soft-linear" and "soft-gaussian" (lose score), "wbf" (boxes are fused). docs/evaluation.md.
    model.NMS_TYPE = "normal"
    # A box is reported with its "best" class (YOLOX, DETR) or with "every" class that reaches the
    # threshold (YOLOv7; Anchor DETR, of which the best pairs of a query and a class are reported).
    # Predictor and demo always take the best.
    model.CLASSES_PER_BOX = "best"

    # Memory layout of the network and its pictures: "contiguous" or "channels_last" (faster on
    # CPUs, above all for depthwise convolutions, and with mixed precision on GPUs). Evaluation and
    # predictor on a CPU pack convolutions in a layout of their own.
    model.MEMORY_FORMAT = "contiguous"

    # Batch norm statistics over the GPUs of all processes instead of each for itself.
    model.SYNC_BATCH_NORM = False

    model.YOLO = CfgNode()
    # Number of classes; must equal the data sets' number of classes.
    model.YOLO.CLASSES = 80
    # Anchors for each stride of MODEL.NECK.IN_STRIDES, ascending: [width, height] in pixels.
    model.YOLO.ANCHORS = [
        [[12, 16], [19, 36], [40, 28]],
        [[36, 75], [76, 55], [72, 146]],
        [[142, 110], [192, 243], [459, 401]],
    ]
    # Detections below this score are dropped. Above 0.05 it lowers the measured AP.
    model.YOLO.CONF_THRESHOLD = 0.01
    # IoU (DIoU) above which two detections are taken for the same object; "soft-gaussian" has none.
    model.YOLO.NMS_THRESHOLD = 0.65
    # A prediction that overlaps an object by more is not called background.
    # (BestAnchor, UniformMatcher)
    model.YOLO.IGNORE_THRESHOLD = 0.7
    # Multipliers of channels and of block repeats: nano .25/.33, tiny .375/.33, s .5/.33,
    # m .75/.67, l 1/1, x 1.25/1.33.
    model.YOLO.WIDTH_MUL = 1.0
    model.YOLO.DEPTH_MUL = 1.0

    # CSPDarknet, Darknet, CSPDarknet53 and CSPDarknetTiny, their necks and the decoupled head.
    model.DARKNET = CfgNode()
    # Which Darknet: 53 (YOLOv3's) or 21 layers, before DEPTH_MUL. (The others have DEPTH_MUL only.)
    model.DARKNET.DEPTH = 53
    # CSPDarknet: 3x3 convolutions as depthwise + pointwise (YOLOX-nano).
    model.DARKNET.DEPTH_WISE = False
    model.DARKNET.ACTIVATION = "silu"
    # Of batch normalisation in them and their necks: 1e-3 in YOLOX, 1e-5 in darknet, 1e-4 in YOLOF.
    model.DARKNET.BN_EPSILON = 1e-3
    # CSPDarknet53: the last stage keeps the resolution of the one before and is dilated (YOLOF).
    model.DARKNET.DILATED_C5 = False

    model.NECK = CfgNode()
    model.NECK.NAME = "CSPPAFPN"
    # The neck takes its inputs from the backbone by stride, so a backbone is swapped by one line.
    model.NECK.IN_STRIDES = [8, 16, 32]
    # DarknetFPN only: spatial pyramid pooling in the coarsest level (YOLOv3-SPP).
    model.NECK.SPP = False
    # Width of the neck's maps (FPN, BiFPN; Projection: of the coarsest alone), and
    # the norm behind its convolutions, "" (none) or "GN" (FPN, Projection).
    model.NECK.CHANNELS = 256
    model.NECK.NORM = ""

    model.HEAD = CfgNode()
    model.HEAD.NAME = "DecoupledHead"
    # "" for that of MODEL.ELAN (AnchorHead) or MODEL.DARKNET (the decoupled heads).
    model.HEAD.ACTIVATION = ""
    # Of its batch normalisation: 1e-3 in YOLOX and YOLOv7, 1e-5 in darknet.
    model.HEAD.BN_EPSILON = 1e-3
    # Decoupled heads: width of the branches before WIDTH_MUL.
    model.HEAD.CHANNELS = 256
    # Initial probability of a class and of an object at every place (bias initialisation).
    model.HEAD.PRIOR_PROBABILITY = 0.01
    # AnchorHead: width of its 3x3 convolution for each level before WIDTH_MUL; empty for twice that
    # of the neck's maps.
    model.HEAD.LEVEL_CHANNELS = []
    # AnchorHead: its 3x3 convolution, "conv" or "rep_conv" (several branches in training), and
    # whether learned vectors are added before and multiplied after the prediction (YOLOR).
    model.HEAD.PRE_CONV = "rep_conv"
    model.HEAD.IMPLICIT = True

    model.BOX_CODER = CfgNode()
    # How boxes are told by raw outputs; "" for the family's own: YOLOXBoxCoder, YOLOv7BoxCoder.
    model.BOX_CODER.NAME = ""
    # YOLOv4BoxCoder: for each level of the head, finest first, how much further than its cell a
    # box's centre may go (1 for YOLOv3; darknet's scale_x_y).
    model.BOX_CODER.SCALE_XY = [1.2, 1.1, 1.05]

    model.ASSIGNER = CfgNode()
    model.ASSIGNER.NAME = "SimOTA"
    # Half side of the window of candidate cells around an object's centre, in strides.
    # (SimOTA)
    model.ASSIGNER.CENTER_RADIUS = 1.5
    # An anchor's sides may be this many times as long, or as short, as the object's; exclusive.
    # (OTA, AnchorRatio)
    model.ASSIGNER.MAX_ANCHOR_RATIO = 4.0
    # Cells around an object's centre: 3 (its own and the two nearest) or 5 (and all neighbours).
    # (OTA, AnchorRatio)
    model.ASSIGNER.CELLS = 3
    # Number of best IoUs whose sum gives an object's number of cells.
    model.ASSIGNER.TOP_K = 10
    # BestAnchor: the IoU of shapes above which an anchor answers for an object beside the best one
    # (1: the best alone), and [width, height] of anchors that compete but that no level has.
    model.ASSIGNER.IOU_THRESHOLD = 0.213
    model.ASSIGNER.UNUSED_ANCHORS = []
    # Weights of the costs; HungarianMatcher's cost of overlap is that of the generalised IoU, and
    # L1_COST is its alone: of the distance of boxes in [0, 1].
    model.ASSIGNER.CLASS_COST = 1.0
    model.ASSIGNER.IOU_COST = 3.0
    model.ASSIGNER.L1_COST = 5.0

    model.CRITERION = CfgNode()
    model.CRITERION.NAME = "DenseCriterion"
    # Names of the loss functions and the weights of their terms. AnchorCriterion and
    # AuxiliaryCriterion take weights for 3 levels, 80 classes and 640x640, and scale them.
    model.CRITERION.BOX_LOSS = "iou_squared"
    model.CRITERION.CLASS_LOSS = "bce"
    model.CRITERION.OBJECTNESS_LOSS = "bce"
    model.CRITERION.BOX_WEIGHT = 5.0
    model.CRITERION.CLASS_WEIGHT = 1.0
    model.CRITERION.OBJECTNESS_WEIGHT = 1.0
    # DenseCriterion: L1 on the raw box regressions; switched on for the last phase only
    # (SOLVER.LAST_PHASE_ITERS). SetCriterion: L1 of boxes in [0, 1], from the beginning.
    model.CRITERION.L1_WEIGHT = 1.0
    # ClassicCriterion: loss of a centre within its cell, "bce" or "sigmoid_l1", and the weights of
    # it and of the L1 of width and height; both 0 where BOX_LOSS alone is to count.
    model.CRITERION.CENTER_LOSS = "bce"
    model.CRITERION.CENTER_WEIGHT = 1.0
    model.CRITERION.SIZE_WEIGHT = 1.0
    # DarknetCriterion: the largest number in a pair's gradient of the box; 0 for no limit.
    model.CRITERION.MAX_DELTA = 5.0
    # Numbers of the loss function "focal": weight of what is true, and how much less what is
    # already right counts.
    model.CRITERION.FOCAL_ALPHA = 0.25
    model.CRITERION.FOCAL_GAMMA = 2.0

    # SetCriterion, whose CLASS_LOSS is "softmax" (with a class "no object") or "focal" (every class
    # on its own). Weight of queries without an object in the softmax's loss.
    model.CRITERION.NO_OBJECT_WEIGHT = 0.1
    # Weights of the two losses of masks, with MODEL.MASK_ON.
    model.CRITERION.MASK_WEIGHT = 1.0
    model.CRITERION.DICE_WEIGHT = 1.0

    # Criteria of anchors (all but DenseCriterion): weight of each level's objectness, finest first.
    model.CRITERION.LEVEL_BALANCE = [4.0, 1.0, 0.4]
    # AnchorCriterion, AuxiliaryCriterion: how much of the objectness target is the predicted box's
    # overlap; the rest is 1.
    model.CRITERION.OBJECTNESS_IOU_SHARE = 1.0
    # Criteria of anchors: class targets are 1 - x/2 and x/2 instead of 1 and 0.
    model.CRITERION.LABEL_SMOOTHING = 0.0

    # AuxiliaryCriterion. What the auxiliary head learns from: CoarseToFine (the lead head's
    # predictions, with AUXILIARY_CELLS cells), LeadGuided (the lead head's own labels) or
    # Independent (its own predictions).
    model.CRITERION.GUIDANCE = "CoarseToFine"
    model.CRITERION.AUXILIARY_CELLS = 5
    model.CRITERION.AUXILIARY_WEIGHT = 0.25
