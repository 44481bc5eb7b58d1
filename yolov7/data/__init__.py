"""From annotation files and images to training and test samples."""

from yolov7.data.catalog import (
    check_class_count,
    get_metadata,
    load_records,
    register_builtin_datasets,
    register_from_config,
)
from yolov7.data.dataset import InferenceDataset, SharedRecords, TrainingDataset
from yolov7.data.formats import Annotation, Record
from yolov7.data.image_io import read_image, read_record_image
from yolov7.data.loader import (
    SampleLoader,
    build_test_loader,
    build_train_loader,
    training_records,
)
from yolov7.data.sample_cost import SampleCost
from yolov7.data.samplers import (
    InferenceSampler,
    MultiScaleSchedule,
    SampleKey,
    TrainingBatchSampler,
    sample_rng,
)

register_builtin_datasets()

__all__ = [
    "Annotation",
    "InferenceDataset",
    "InferenceSampler",
    "MultiScaleSchedule",
    "Record",
    "SampleCost",
    "SampleKey",
    "SampleLoader",
    "SharedRecords",
    "TrainingBatchSampler",
    "TrainingDataset",
    "build_test_loader",
    "build_train_loader",
    "check_class_count",
    "get_metadata",
    "load_records",
    "read_image",
    "read_record_image",
    "register_builtin_datasets",
    "register_from_config",
    "sample_rng",
    "training_records",
]
