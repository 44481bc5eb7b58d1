"""The verdict on a loader: both situations, and the remedy that fits the machine."""

import pytest

from yolov7.analysis import judge_loader
from yolov7.data import SampleCost

WORK = SampleCost(samples=100, seconds=2.0, cpu_seconds=1.9)
QUEUED = SampleCost(samples=100, seconds=10.0, cpu_seconds=1.0, queue_seconds=8.5)
WAITING = SampleCost(samples=100, seconds=10.0, cpu_seconds=1.0)


def judge(**changes):
    """A GPU that computes 0.1 s of each 0.4 s; 16 samples of 20 ms; 8 cores, 1 worker."""
    situation = {
        "step_seconds": 0.4, "waiting_seconds": 0.3, "batch_size": 16, "cost": WORK,
        "num_workers": 1, "num_processes": 1, "cores": 8, "training_threads": 1,
    }  # fmt: skip
    return judge_loader(**{**situation, **changes})


@pytest.mark.parametrize(
    ("waiting_seconds", "is_bound", "words"),
    [
        (0.004, False, "Not loader-bound: training waits for data 1% of its time."),
        (0.076, False, "Not loader-bound: training waits for data 19% of its time."),
        (0.084, True, "Loader-bound: training waits for data 21% of its time."),
        (0.4, True, "Loader-bound: training waits for data 100% of its time."),
    ],
)
def test_the_share_decides(waiting_seconds, is_bound, words):
    verdict = judge(waiting_seconds=waiting_seconds)
    assert verdict.is_loader_bound == is_bound
    assert verdict.waiting == pytest.approx(waiting_seconds / 0.4)
    assert verdict.text.startswith(words)
    assert ("NUM_WORKERS" in verdict.text) == is_bound


def test_workers_are_raised_to_what_is_needed():
    """16 samples of 20 ms are 0.32 s of work for every 0.1 s of the GPU: four workers."""
    text = judge().text
    assert "Raise DATALOADER.NUM_WORKERS from 1 to 4: of 8 cores 6 are not in use." in text
    assert "Cheaper" not in text
    assert "storage" not in text
    assert "NUM_WORKERS from 0 to 4" in judge(num_workers=0).text


def test_workers_are_raised_to_the_cores_and_that_will_not_do():
    text = judge(cores=3).text
    assert "Raise DATALOADER.NUM_WORKERS from 1 to 2: of 3 cores 1 is not in use." in text
    assert "That will not do for all of it. Cheaper samples help" in text


def test_processes_share_the_cores():
    """Two processes on 8 cores: three workers each, of the four that each would need."""
    assert "from 1 to 3: of 8 cores 4 are not in use" in judge(num_processes=2).text


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"num_workers": 7}, "the 8 cores are taken (1 for training, 7 for workers)"),
        ({"num_workers": 0, "cores": 1}, "the 1 cores are taken (1 for training)"),
        # On the CPU training itself takes all of them.
        (
            {"num_workers": 0, "cores": 2, "training_threads": 2},
            "the 2 cores are taken (2 for training)",
        ),
    ],
)
def test_where_no_core_is_left_samples_must_get_cheaper(changes, taken):
    text = judge(**changes).text
    assert f"More workers would not help: {taken}. Cheaper samples help" in text
    assert "a sample takes 20 ms" in text
    assert "each other's way" not in text


def test_too_many_workers_are_named():
    text = judge(num_workers=12, cost=QUEUED).text
    assert "Workers beyond the cores are in each other's way: try 7." in text
    # That samples take long is no sign of a slow disk then.
    assert "storage" not in text
    assert "Other programs" not in text


def test_cores_that_others_use():
    """Three of eight cores are ours, and still samples wait for one."""
    text = judge(num_workers=2, cost=QUEUED).text
    assert "Raise DATALOADER.NUM_WORKERS from 2 to 7" in text
    assert text.endswith("Other programs use the cores: 85% of a sample's time is waiting for one.")
    assert "storage" not in text


def test_slow_storage_is_told_from_work():
    """100 ms a sample, of which 10 ms are work: 16 workers would do, on 8 cores."""
    text = judge(cost=WAITING).text
    assert "A sample takes 100 ms, of which 90% is waiting for the storage" in text
    assert "DATALOADER.NUM_WORKERS from 1 to 16" in text
    assert "faster disk" in text
    assert "NUM_WORKERS from 1 to 4," in judge(cost=WAITING, cores=1).text
    assert "augmentation" not in text


def test_without_any_measurement_of_samples():
    assert judge(cost=SampleCost()).is_loader_bound
