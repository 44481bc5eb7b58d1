"""`SOLVER.*`: optimiser, schedule, averaging and what a broken loss means."""

from __future__ import annotations

from yolov7.d2 import CfgNode


def add_solver_config(cfg: CfgNode) -> None:
    """Add our keys under `SOLVER`.

    `LR_SCHEDULER_NAME` also takes "WarmupCosineFlatLR" (YOLOX: warm-up, cosine down to
    BASE_LR_END, constant for FLAT_ITERS), `WARMUP_METHOD` also "quadratic".
    """
    solver = cfg.SOLVER

    # Name of the optimiser: SGD or AdamW.
    solver.OPTIMIZER = "SGD"
    # The backbone learns at this times the rates of everything else, in warm-up too: 0.1 for DETR.
    solver.BACKBONE_MULTIPLIER = 1.0
    # Where the warm-up starts (YOLOv7): the learning rate of biases, not a factor, None for that of
    # the others; and the momentum, None for MOMENTUM. Both end with WARMUP_ITERS.
    solver.WARMUP_BIAS_LR = None
    solver.WARMUP_MOMENTUM = None
    # Iterations at the end with the constant learning rate BASE_LR_END (WarmupCosineFlatLR).
    solver.FLAT_ITERS = 0
    # Iterations at the end without Mosaic and MixUp and with the criterion's L1 term.
    solver.LAST_PHASE_ITERS = 0

    # Iterations in which DropBlock (PPYOLOPAN) goes from nothing to its share; 0: all of it always.
    solver.DROP_BLOCK_RAMP_ITERS = 0

    # Parts a process's batch is computed in, one after another, to fit a large IMS_PER_BATCH into
    # little memory. One iteration stays one step of the optimiser; batch norm sees the parts.
    solver.ACCUMULATION_STEPS = 1
    # How many of the checkpoints of CHECKPOINT_PERIOD are kept, the newest; 0 keeps all.
    solver.CHECKPOINT_KEEP = 3
    # Iterations between two lines of the log, of metrics.json and of TensorBoard.
    solver.LOG_PERIOD = 20
    # Only algorithms that give the same bits every time: slower on GPUs; CPUs do so anyway. An
    # operation that has no such algorithm is named in a warning when it first runs.
    solver.DETERMINISTIC = False
    # Training ends when so many evaluations in a row (every TEST.EVAL_PERIOD) were not better by
    # TEST.BEST_METRIC than the best before them; 0 never. It then lacks its LAST_PHASE_ITERS.
    solver.EARLY_STOPPING_PATIENCE = 0
    # A warning when the total loss has fallen by less than 5 % in the warm-up and so many
    # iterations after it, at least 100; 0 never. Runs that end, or begin their last phase, earlier
    # are not judged.
    solver.LOSS_WATCH_ITERS = 500
    # The batch that BASE_LR was chosen for; 0 for unknown. Training with another IMS_PER_BATCH says
    # by how much the rate would change; nothing is rescaled by itself.
    solver.LR_IMS_PER_BATCH = 0

    # Exponential moving average of the weights, which is evaluated and shipped. The decay rises
    # as DECAY * (1 - exp(-updates / TAU)).
    solver.EMA = CfgNode()
    solver.EMA.ENABLED = False
    solver.EMA.DECAY = 0.9998
    solver.EMA.TAU = 2000.0

    # Number format of mixed precision: "bfloat16" anywhere, "float16" on CUDA only.
    solver.AMP.DTYPE = "bfloat16"

    # A loss that is not finite: "stop" writes a report that replays the step and ends the
    # training, "skip" writes the report, leaves the step out and goes on.
    solver.ON_NONFINITE_LOSS = "stop"
