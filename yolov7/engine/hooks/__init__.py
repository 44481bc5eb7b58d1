"""What happens around the steps of training, one behaviour a file."""

from yolov7.engine.hooks.best_checkpoint import BestCheckpoint
from yolov7.engine.hooks.checkpointing import Checkpointing
from yolov7.engine.hooks.drop_block_ramp import DropBlockRamp
from yolov7.engine.hooks.early_stopping import EarlyStopping
from yolov7.engine.hooks.ema_update import EMAUpdate
from yolov7.engine.hooks.evaluation import Evaluation
from yolov7.engine.hooks.iteration_timer import IterationTimer
from yolov7.engine.hooks.learning_rate import LearningRate
from yolov7.engine.hooks.loader_report import LoaderReport
from yolov7.engine.hooks.loss_phase import LossPhase
from yolov7.engine.hooks.loss_watch import LossWatch
from yolov7.engine.hooks.momentum import Momentum
from yolov7.engine.hooks.pictures import Pictures
from yolov7.engine.hooks.progress_bar import ProgressBar
from yolov7.engine.hooks.recent_scalars import RecentScalars
from yolov7.engine.hooks.stop_signals import StopSignals
from yolov7.engine.hooks.time_report import TimeReport
from yolov7.engine.hooks.writing import Writing

__all__ = [
    "BestCheckpoint",
    "Checkpointing",
    "DropBlockRamp",
    "EMAUpdate",
    "EarlyStopping",
    "Evaluation",
    "IterationTimer",
    "LearningRate",
    "LoaderReport",
    "LossPhase",
    "LossWatch",
    "Momentum",
    "Pictures",
    "ProgressBar",
    "RecentScalars",
    "StopSignals",
    "TimeReport",
    "Writing",
]
