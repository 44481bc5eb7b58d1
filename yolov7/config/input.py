"""`INPUT.*`: picture size and augmentation. Nothing of ours is on by default."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_input_config(cfg: CfgNode) -> None:
    """Add our keys under `INPUT`."""
    node = cfg.INPUT

    # How pictures get their size. Keeping their aspect: "fit" into INPUT_SIZE; or "short_side": the
    # short side gets one of the lengths MIN_SIZE_TRAIN (evaluation: MIN_SIZE_TEST), the long side
    # at most MAX_SIZE_TRAIN (MAX_SIZE_TEST), and each batch is padded to its largest picture. Or
    # "stretch" to exactly INPUT_SIZE.
    node.RESIZE = "fit"
    # (height, width) that pictures are fitted into, or stretched to.
    node.INPUT_SIZE = [640, 640]
    # After augmentation, boxes are dropped that have a side of at most MIN_BOX_SIDE pixels, or at
    # most the share MIN_BOX_VISIBLE of their area left, or whose longer side is at least
    # MAX_BOX_ASPECT times the shorter one.
    node.MIN_BOX_SIDE = 1.0
    node.MIN_BOX_VISIBLE = 0.0
    node.MAX_BOX_ASPECT = float("inf")

    # Every PERIOD iterations another training size: the height is drawn from
    # MIN_SIZE, MIN_SIZE + STEP ... MAX_SIZE, the width keeps INPUT_SIZE's ratio.
    node.MULTI_SCALE = CfgNode()
    node.MULTI_SCALE.ENABLED = False
    node.MULTI_SCALE.MIN_SIZE = 480
    node.MULTI_SCALE.MAX_SIZE = 800
    node.MULTI_SCALE.STEP = 32
    node.MULTI_SCALE.PERIOD = 10

    # With RESIZE "short_side" (DETR): with PROBABILITY only a part of a picture, cut out after its
    # short side got one of MIN_SIZES; the part's sides are drawn from CROP_SIZE [low, high].
    node.RESIZE_OR_CROP = CfgNode()
    node.RESIZE_OR_CROP.ENABLED = False
    node.RESIZE_OR_CROP.PROBABILITY = 0.5
    node.RESIZE_OR_CROP.MIN_SIZES = [400, 500, 600]
    node.RESIZE_OR_CROP.CROP_SIZE = [384, 600]

    # Offsets added to 8-bit hue, saturation and value, each with PROBABILITY (YOLOX).
    node.HSV_SHIFT = CfgNode()
    node.HSV_SHIFT.ENABLED = False
    node.HSV_SHIFT.HUE = 5
    node.HSV_SHIFT.SATURATION = 30
    node.HSV_SHIFT.VALUE = 30
    node.HSV_SHIFT.PROBABILITY = 0.5

    # Factors for 8-bit hue, saturation and value, each drawn from (1 - x, 1 + x) (YOLOv7).
    node.HSV_GAIN = CfgNode()
    node.HSV_GAIN.ENABLED = False
    node.HSV_GAIN.HUE = 0.015
    node.HSV_GAIN.SATURATION = 0.7
    node.HSV_GAIN.VALUE = 0.4

    # With PROBABILITY, pictures are moved by up to SHIFT_PIXELS on each axis, after flips (YOLOF).
    node.SHIFT = CfgNode()
    node.SHIFT.ENABLED = False
    node.SHIFT.SHIFT_PIXELS = 32
    node.SHIFT.PROBABILITY = 0.5

    # Affine or perspective warp of single pictures about their centre.
    node.RANDOM_AFFINE = CfgNode()
    node.RANDOM_AFFINE.ENABLED = False
    # Rotation and shear in degrees, each drawn from (-x, x).
    node.RANDOM_AFFINE.DEGREES = 0.0
    node.RANDOM_AFFINE.SHEAR = 0.0
    # Shift as a fraction of the picture's side, drawn from (-x, x).
    node.RANDOM_AFFINE.TRANSLATE = 0.1
    node.RANDOM_AFFINE.SCALE = [0.5, 1.5]
    node.RANDOM_AFFINE.PERSPECTIVE = 0.0

    # Mosaic of several pictures, warped as one, then mixed with another picture (YOLOX) or mosaic
    # (YOLOv7), then filled with objects. Off in the last SOLVER.LAST_PHASE_ITERS iterations.
    node.MOSAIC_AND_MIXUP = CfgNode()
    node.MOSAIC_AND_MIXUP.ENABLED = False
    node.MOSAIC_AND_MIXUP.PROBABILITY = 1.0
    # 4 or 9 pictures; or several numbers with their probabilities, such as [[4, 0.8], [9, 0.2]].
    node.MOSAIC_AND_MIXUP.NUM_IMAGES = 4
    node.MOSAIC_AND_MIXUP.NUM_IMAGES_MIXTURE = []
    # What the warp keeps in place: "origin" (YOLOX: the top left) or "center" (YOLOv7).
    node.MOSAIC_AND_MIXUP.WARP_ABOUT = "origin"
    node.MOSAIC_AND_MIXUP.DEGREES = 10.0
    node.MOSAIC_AND_MIXUP.TRANSLATE = 0.1
    node.MOSAIC_AND_MIXUP.SCALE = [0.1, 2.0]
    node.MOSAIC_AND_MIXUP.SHEAR = 2.0
    node.MOSAIC_AND_MIXUP.PERSPECTIVE = 0.0
    node.MOSAIC_AND_MIXUP.ENABLE_MIXUP = True
    # With a "picture", resized by a factor from MIXUP_SCALE, half and half (YOLOX); or with another
    # "mosaic", the first one's share from Beta(MIXUP_BETA, MIXUP_BETA) (YOLOv7).
    node.MOSAIC_AND_MIXUP.MIXUP_WITH = "picture"
    node.MOSAIC_AND_MIXUP.MIXUP_PROBABILITY = 1.0
    node.MOSAIC_AND_MIXUP.MIXUP_SCALE = [0.5, 1.5]
    node.MOSAIC_AND_MIXUP.MIXUP_BETA = 8.0
    # That objects of other pictures, cut out by their masks, are pasted into a mosaic (YOLOv7).
    # MODEL.MASK_ON may be False; objects need a mask to be cut out, not to be learned.
    node.MOSAIC_AND_MIXUP.PASTE_IN_PROBABILITY = 0.0
