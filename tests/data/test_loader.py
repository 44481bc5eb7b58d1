"""Batches on disk images through the real mappers: equal whoever makes them, and when."""

from __future__ import annotations

import json
import pickle
import sys
import time
import uuid

import cv2
import numpy as np
import pytest
import torch

from yolov7.config import get_config
from yolov7.d2 import DatasetCatalog
from yolov7.data import (
    SampleCost,
    build_test_loader,
    build_train_loader,
    loader,
    training_records,
)
from yolov7.data.mappers import build_validation_mapper
from yolov7.data.samplers import SampleKey
from yolov7.utils.errors import ConfigError, DatasetError, ImageError

# YOLOv7's way of making mosaics, with all that is random in it.
YOLOV7_MOSAICS = [
    "NUM_IMAGES_MIXTURE", [[4, 0.5], [9, 0.5]], "WARP_ABOUT", "center", "SCALE", [0.4, 1.2],
    "MIXUP_WITH", "mosaic", "MIXUP_PROBABILITY", 0.5, "PASTE_IN_PROBABILITY", 0.5,
]  # fmt: skip
SIZES = [(40, 60), (64, 48), (30, 90), (50, 50), (72, 40), (33, 57), (48, 48)]


@pytest.fixture
def folder(tmp_path):
    """Seven pictures with 0 to 3 objects, in COCO format with polygons."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i, (height, width) in enumerate(SIZES):
        cv2.imwrite(
            str(tmp_path / f"{i}.png"), rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        )
        images.append({"id": i, "file_name": f"{i}.png", "height": height, "width": width})
        for _ in range(i % 4):
            x, y = (int(v) for v in rng.integers(0, 15, 2))
            box = [x, y, 12, 14]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": i,
                    "category_id": 1 + len(annotations) % 2,
                    "bbox": box,
                    "segmentation": [[x, y, x + 12, y, x + 12, y + 14]],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def cfg(folder):
    """Everything random on, masks too; batches of 4, so that batches span epochs."""
    name = f"test_{uuid.uuid4()}"
    cfg = get_config()
    cfg.DATASETS.REGISTER = [
        {
            "NAME": name,
            "FORMAT": "coco",
            "ANNOTATIONS": str(folder / "a.json"),
            "IMAGES": str(folder),
        }
    ]
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = (name,)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.YOLO.CLASSES = 2
    cfg.INPUT.INPUT_SIZE = [64, 96]
    cfg.INPUT.MULTI_SCALE.ENABLED = True
    cfg.INPUT.MULTI_SCALE.MIN_SIZE = 32
    cfg.INPUT.MULTI_SCALE.MAX_SIZE = 96
    cfg.INPUT.MULTI_SCALE.PERIOD = 2
    cfg.INPUT.HSV_SHIFT.ENABLED = True
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = True
    cfg.INPUT.MOSAIC_AND_MIXUP.PROBABILITY = 0.7
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.SOLVER.MAX_ITER = 6
    cfg.SOLVER.LAST_PHASE_ITERS = 2
    yield cfg
    if name in DatasetCatalog.list():
        DatasetCatalog.remove(name)


def assert_equal_samples(left, right):
    assert left.keys() == right.keys()
    for key in left:
        if key == "image":
            assert torch.equal(left[key], right[key])
        elif key == "instances":
            a, b = left[key], right[key]
            assert a.image_size == b.image_size
            assert torch.equal(a.gt_boxes.tensor, b.gt_boxes.tensor)
            assert torch.equal(a.gt_classes, b.gt_classes)
            assert torch.equal(a.gt_masks.tensor, b.gt_masks.tensor)
        else:
            assert left[key] == right[key], key


def assert_equal_batches(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert len(a) == len(b)
        for sample_a, sample_b in zip(a, b, strict=True):
            assert_equal_samples(sample_a, sample_b)


@pytest.mark.parametrize("mosaics", [[], YOLOV7_MOSAICS], ids=["yolox", "yolov7"])
def test_0_2_and_4_workers_give_identical_batches(cfg, mosaics):
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list(mosaics)
    reference = list(build_train_loader(cfg, seed=3))
    assert len(reference) == 6 and all(len(batch) == 4 for batch in reference)
    assert max(len(s["sources"]) for batch in reference for s in batch) > 1
    for workers in (2, 4):
        cfg.DATALOADER.NUM_WORKERS = workers
        assert_equal_batches(list(build_train_loader(cfg, seed=3)), reference)


def test_masks_to_be_pasted_are_kept_without_being_learned(cfg):
    cfg.MODEL.MASK_ON = False

    def masks():
        batches = build_train_loader(cfg, seed=3)
        records = batches.dataset._dataset.records
        assert not any(s["instances"].has("gt_masks") for batch in batches for s in batch)
        return sum("segmentation" in a for record in records for a in record["annotations"])

    assert masks() == 0
    cfg.INPUT.MOSAIC_AND_MIXUP.PASTE_IN_PROBABILITY = 0.5
    assert masks() == 9
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    assert masks() == 0


@pytest.mark.parametrize("mosaics", [[], YOLOV7_MOSAICS], ids=["yolox", "yolov7"])
def test_resumed_loader_continues_exactly(cfg, mosaics):
    cfg.INPUT.MOSAIC_AND_MIXUP.merge_from_list(mosaics)
    reference = list(build_train_loader(cfg, seed=3))
    cfg.DATALOADER.NUM_WORKERS = 2
    assert_equal_batches(list(build_train_loader(cfg, seed=3, start_iter=3)), reference[3:])


def test_records_loaded_before_can_be_passed(cfg):
    records = training_records(cfg)
    assert [r["image_id"] for r in records] == list(range(7))
    reference = list(build_train_loader(cfg, seed=3))
    assert_equal_batches(list(build_train_loader(cfg, seed=3, records=records)), reference)


def test_another_seed_gives_other_batches(cfg):
    first, second = (next(iter(build_train_loader(cfg, seed=seed))) for seed in (0, 1))
    assert any(
        a["image"].shape != b["image"].shape or not torch.equal(a["image"], b["image"])
        for a, b in zip(first, second, strict=True)
    )


def test_batches_do_not_depend_on_global_generators_nor_change_them(cfg):
    reference = list(build_train_loader(cfg, seed=3))
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    assert_equal_batches(list(build_train_loader(cfg, seed=3)), reference)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_follow_the_schedule_and_mosaics_end_with_the_last_phase(cfg):
    batches = list(build_train_loader(cfg, seed=3))
    sizes = [{tuple(s["image"].shape[1:]) for s in batch} for batch in batches]
    assert all(len(size) == 1 for size in sizes)
    assert all(sizes[i] == sizes[i + 1] for i in range(0, 6, 2))
    assert len({next(iter(size)) for size in sizes}) > 1
    many = [max(len(s["sources"]) for s in batch) for batch in batches]
    assert min(many[:4]) > 1 and max(many[4:]) == 1


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_batch_of_a_single_process(cfg, world_size, monkeypatch):
    whole = list(build_train_loader(cfg, seed=3))
    monkeypatch.setattr(loader, "get_world_size", lambda: world_size)
    for rank in range(world_size):
        monkeypatch.setattr(loader, "get_rank", lambda rank=rank: rank)
        share = list(build_train_loader(cfg, seed=3))
        assert_equal_batches(share, [batch[rank::world_size] for batch in whole])


def test_missing_image_is_named_without_the_workers_stack_trace(cfg, folder):
    (folder / "3.png").unlink()
    cfg.DATALOADER.NUM_WORKERS = 1
    with pytest.raises(ImageError, match=r"3\.png: No such file") as error:
        list(build_train_loader(cfg, seed=3))
    assert "Traceback" not in str(error.value)


def test_skipping_bad_images_is_counted_and_equal_for_any_workers(cfg, folder):
    (folder / "3.png").write_bytes(b"not a picture")
    cfg.DATALOADER.ON_BAD_IMAGE = "skip"
    reference = list(build_train_loader(cfg, seed=3))
    samples = [s for batch in reference for s in batch]
    assert len(samples) == 24
    assert not any("3.png" in source for s in samples for source in s["sources"])
    assert sum(s["skipped_images"] for s in samples) > 0
    cfg.DATALOADER.NUM_WORKERS = 2
    assert_equal_batches(list(build_train_loader(cfg, seed=3)), reference)


def test_wrong_declared_size_stops_training(cfg, folder):
    cv2.imwrite(str(folder / "2.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ImageError, match=r"2\.png is 20x20 .* declare 90x30"):
        list(build_train_loader(cfg, seed=3))


def test_images_without_objects_are_trained_on_unless_filtered(cfg):
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    cfg.SOLVER.IMS_PER_BATCH = 7
    cfg.SOLVER.MAX_ITER = 1
    (batch,) = build_train_loader(cfg, seed=0)
    assert sorted(s["image_id"] for s in batch) == list(range(7))
    assert sorted(len(s["instances"]) for s in batch) == [0, 0, 1, 1, 2, 2, 3]
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True
    (batch,) = build_train_loader(cfg, seed=0)
    assert {s["image_id"] for s in batch} == {1, 2, 3, 5, 6}


def test_repeat_factor_sampling_by_config(cfg):
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = False
    cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    cfg.DATALOADER.REPEAT_THRESHOLD = 15 / 7
    cfg.DATALOADER.REPEAT_SQRT = False
    # Cats are in images 1, 2, 3, 5 and 6, dogs in 2, 3 and 6: factors 15/5 and 15/3.
    cfg.SOLVER.IMS_PER_BATCH = 1
    cfg.SOLVER.MAX_ITER = 23
    ids = [batch[0]["image_id"] for batch in build_train_loader(cfg, seed=0)]
    assert np.bincount(ids, minlength=7).tolist() == [1, 3, 5, 5, 1, 3, 5]


@pytest.mark.parametrize(("batch_size", "lengths"), [(1, [1] * 7), (3, [3, 3, 1]), (8, [7])])
def test_test_loader_gives_every_image_once_in_order(cfg, batch_size, lengths):
    cfg.TEST.IMS_PER_BATCH = batch_size
    batches = list(build_test_loader(cfg, cfg.DATASETS.TEST[0]))
    assert [len(batch) for batch in batches] == lengths
    samples = [s for batch in batches for s in batch]
    assert [s["image_id"] for s in samples] == list(range(7))
    assert [(s["height"], s["width"]) for s in samples] == SIZES


def test_masks_reach_the_mapper_of_validation_losses(cfg):
    for mask_on in (True, False):
        cfg.MODEL.MASK_ON = mask_on
        mapper = build_validation_mapper(cfg)
        sample = next(iter(build_test_loader(cfg, cfg.DATASETS.TEST[0], mapper=mapper)))[0]
        assert sample["instances"].has("gt_masks") == mask_on


def test_test_loader_of_several_ranks_and_workers(cfg, monkeypatch):
    whole = [s for batch in build_test_loader(cfg, cfg.DATASETS.TEST[0]) for s in batch]
    monkeypatch.setattr(loader, "get_world_size", lambda: 3)
    cfg.DATALOADER.NUM_WORKERS = 2
    cfg.TEST.IMS_PER_BATCH = 6
    shares = []
    for rank in range(3):
        monkeypatch.setattr(loader, "get_rank", lambda rank=rank: rank)
        batches = list(build_test_loader(cfg, cfg.DATASETS.TEST[0]))
        assert all(len(batch) <= 2 for batch in batches)
        shares += [s for batch in batches for s in batch]
    assert_equal_batches([shares], [whole])


def test_bad_image_is_an_error_in_evaluation_even_when_training_skips(cfg, folder):
    (folder / "3.png").write_bytes(b"not a picture")
    cfg.DATALOADER.ON_BAD_IMAGE = "skip"
    with pytest.raises(ImageError, match=r"3\.png"):
        list(build_test_loader(cfg, cfg.DATASETS.TEST[0]))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("MODEL.YOLO.CLASSES", 80, r"MODEL\.YOLO\.CLASSES is 80, .* has 2 classes"),
        ("DATALOADER.ON_BAD_IMAGE", "skipp", r"ON_BAD_IMAGE is 'skipp'.*Did you mean 'skip'"),
        ("DATALOADER.SAMPLER_TRAIN", "TrainSampler", "Did you mean 'TrainingSampler'"),
        ("INPUT.MULTI_SCALE.MIN_SIZE", 1000, "STEP <= MIN_SIZE <= MAX_SIZE"),
        ("SOLVER.IMS_PER_BATCH", 0, "IMS_PER_BATCH is 0"),
    ],
)
def test_training_refuses_impossible_values(cfg, key, value, message):
    cfg.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message):
        build_train_loader(cfg, seed=0)


@pytest.mark.parametrize(("key", "value"), [("MODEL.YOLO.CLASSES", 80), ("TEST.IMS_PER_BATCH", 0)])
def test_evaluation_refuses_impossible_values(cfg, key, value):
    cfg.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=f"{key} is {value}"):
        build_test_loader(cfg, cfg.DATASETS.TEST[0])


def test_batch_must_be_divisible_by_the_processes(cfg, monkeypatch):
    monkeypatch.setattr(loader, "get_world_size", lambda: 3)
    with pytest.raises(ConfigError, match="multiple of 3"):
        build_train_loader(cfg, seed=0)


def test_training_without_a_data_set_names_the_key(cfg):
    cfg.DATASETS.TRAIN = ()
    with pytest.raises(DatasetError, match=r"DATASETS\.TRAIN"):
        build_train_loader(cfg, seed=0)


def test_what_a_spawned_worker_gets_can_be_pickled(cfg):
    dataset = build_train_loader(cfg, seed=3).dataset
    key = SampleKey(iteration=0, epoch=0, position=0, index=2, size=(64, 96))
    (sent, _), (kept, _) = pickle.loads(pickle.dumps(dataset))[key], dataset[key]
    assert_equal_samples(sent, kept)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_cost_of_samples_tells_work_from_waiting(cfg, num_workers):
    cfg.DATALOADER.NUM_WORKERS = num_workers
    cfg.SOLVER.MAX_ITER = 2
    waiting = build_train_loader(cfg, seed=0, mapper=wait)
    working = build_train_loader(cfg, seed=0, mapper=work)
    for batches in (waiting, working):
        assert batches.cost == SampleCost()
        assert sum(map(len, batches)) == batches.cost.samples == 8
        assert batches.cost.seconds >= 8 * 0.02
    assert waiting.cost.cpu_seconds < 0.2 * waiting.cost.seconds
    assert working.cost.cpu_seconds >= 8 * 0.02
    if sys.platform == "linux":
        busy = working.cost.cpu_seconds + working.cost.queue_seconds
        assert busy == pytest.approx(working.cost.seconds, rel=0.1)


def wait(record, rng, key):
    time.sleep(0.02)
    return {}


def work(record, rng, key):
    started = time.thread_time()
    while time.thread_time() - started < 0.02:
        pass
    return {}


def test_workers_use_one_thread(cfg):
    cfg.DATALOADER.NUM_WORKERS = 1
    cfg.SOLVER.MAX_ITER = 1
    batches = build_train_loader(cfg, seed=0, mapper=report_threads)
    assert next(iter(batches))[0]["threads"] == (1, 1)


def report_threads(record, rng, key):
    return {"threads": (cv2.getNumThreads(), torch.get_num_threads())}


def test_loader_can_be_iterated_again(cfg):
    cfg.DATALOADER.NUM_WORKERS = 2
    cfg.SOLVER.MAX_ITER = 2
    batches = build_train_loader(cfg, seed=0)
    assert len(batches) == 2
    assert_equal_batches(list(batches), list(batches))
