"""Shared records, and samples as pure functions of their keys."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler

import pytest

from yolov7.d2 import BoxMode
from yolov7.data.dataset import InferenceDataset, SharedRecords, TrainingDataset
from yolov7.data.samplers import SampleKey
from yolov7.utils.errors import ImageError

RECORDS = [
    {
        "file_name": f"{i}.jpg",
        "annotations": [{"bbox": [0, 0, i, 1], "bbox_mode": BoxMode.XYWH_ABS}] * i,
    }
    for i in range(5)
]


def test_shared_records_are_a_sequence_of_equal_records():
    shared = SharedRecords(RECORDS)
    assert len(shared) == 5
    assert list(shared) == RECORDS
    assert shared[-1] == RECORDS[-1] and shared[0] == RECORDS[0]
    assert type(shared[1]["annotations"][0]["bbox_mode"]) is BoxMode
    for index in (5, -6):
        with pytest.raises(IndexError):
            shared[index]


def test_editing_a_record_does_not_change_the_shared_one():
    shared = SharedRecords(RECORDS)
    shared[3]["annotations"].clear()
    assert shared[3] == RECORDS[3]


def test_no_records():
    shared = SharedRecords([])
    assert len(shared) == 0 and list(shared) == []
    with pytest.raises(IndexError):
        shared[0]


def test_what_is_sent_to_a_spawned_worker_does_not_grow_with_the_records():
    sizes = []
    for number in (10, 10_000):
        shared = SharedRecords([{"file_name": f"{i:06}"} for i in range(number)])
        # Sending moves the tensors to shared memory and pickles their handles.
        buffer = io.BytesIO()
        ForkingPickler(buffer).dump(shared)
        sizes.append(len(buffer.getvalue()))
        assert shared._bytes.is_shared() and shared[3] == {"file_name": "000003"}
    assert sizes[1] < sizes[0] + 100 < 2000


def test_ordinary_pickling_keeps_the_records():
    assert list(pickle.loads(pickle.dumps(SharedRecords(RECORDS)))) == RECORDS


MEASURE_WORKERS = """
import sys
import torch.multiprocessing
from yolov7.data.dataset import SharedRecords

def private_memory():
    with open("/proc/self/smaps_rollup") as file:
        rows = [line.split() for line in file]
    return 1024 * sum(int(row[1]) for row in rows if row[0].startswith("Private_"))

def read_all(records, connection):
    records[0]
    before = private_memory()
    for record in records:
        record["file_name"]
    connection.send(private_memory() - before)

if __name__ == "__main__":
    records = SharedRecords({"file_name": f"{i}" + 1000 * "x"} for i in range(60_000))
    context = torch.multiprocessing.get_context(sys.argv[1])
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    workers = [context.Process(target=read_all, args=(records, pipe[1])) for pipe in pipes]
    for worker in workers:
        worker.start()
    print(records.nbytes, *(pipe[0].recv() for pipe in pipes))
    for worker in workers:
        worker.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_do_not_copy_the_records(method, tmp_path):
    # A file of its own: spawned processes must be able to import what they run.
    (tmp_path / "measure.py").write_text(MEASURE_WORKERS)
    command = [sys.executable, str(tmp_path / "measure.py"), method]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    size, *growths = map(int, output.split())
    assert size > 60e6 and len(growths) == 2
    assert max(growths) < 0.1 * size


def draw_mapper(record, rng, key):
    if record["file_name"] in ("1.jpg", "2.jpg"):
        raise ImageError(f"Cannot read image {record['file_name']}")
    return {"file_name": record["file_name"], "draw": rng.random(), "size": key.size}


def key(index, position=0):
    return SampleKey(iteration=0, epoch=0, position=position, index=index, size=(32, 64))


def test_samples_are_pure_functions_of_seed_and_key():
    dataset = TrainingDataset(RECORDS, draw_mapper, seed=1)
    sample = dataset[key(3, 7)]
    assert sample == dataset[key(3, 7)]
    assert sample["file_name"] == "3.jpg" and sample["size"] == (32, 64)
    assert sample["skipped_images"] == 0
    assert sample["draw"] != dataset[key(3, 8)]["draw"]
    assert sample["draw"] == dataset[key(4, 7)]["draw"]
    assert sample["draw"] != TrainingDataset(RECORDS, draw_mapper, seed=2)[key(3, 7)]["draw"]


def test_bad_image_is_an_error_by_default():
    with pytest.raises(ImageError, match=r"1\.jpg"):
        TrainingDataset(RECORDS, draw_mapper, seed=0)[key(1)]


def test_skipping_draws_a_replacement_from_the_key_and_counts(caplog):
    dataset = TrainingDataset(RECORDS, draw_mapper, seed=0, skip_bad_images=True)
    samples = [dataset[key(1, position)] for position in range(200)]
    assert samples == [dataset[key(1, position)] for position in range(200)]
    assert {s["file_name"] for s in samples} == {"0.jpg", "3.jpg", "4.jpg"}
    # Of 5 images 2 are bad: the mean number of failures before success is 1 + 2/3.
    mean = sum(s["skipped_images"] for s in samples) / 200
    assert all(s["skipped_images"] >= 1 for s in samples)
    assert mean == pytest.approx(5 / 3, abs=0.25)
    assert "Skipped an image: Cannot read image 1.jpg" in caplog.text
    assert dataset[key(3)]["skipped_images"] == 0


def test_a_data_set_of_bad_images_only_ends_with_an_error():
    dataset = TrainingDataset(RECORDS[1:3], draw_mapper, seed=0, skip_bad_images=True)
    with pytest.raises(ImageError, match="10 images in a row"):
        dataset[key(0)]


def test_a_mapper_may_decline_a_record():
    def picky(record, rng, key):
        return {"file_name": "4.jpg"} if record["file_name"] == "4.jpg" else None

    sample = TrainingDataset(RECORDS, picky, seed=0)[key(0)]
    assert sample == {"file_name": "4.jpg", "skipped_images": 0}


def test_inference_maps_indices_and_never_skips():
    def mapper(record):
        if record["file_name"] == "1.jpg":
            raise ImageError("bad")
        return {"name": record["file_name"]}

    dataset = InferenceDataset(SharedRecords(RECORDS), mapper)
    assert len(dataset) == 5
    assert dataset[2] == {"name": "2.jpg"}
    with pytest.raises(ImageError):
        dataset[1]
