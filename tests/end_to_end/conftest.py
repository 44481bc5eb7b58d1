"""Real runs of the command line, on a small digits data set and a tiny YOLOX."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from yolov7.checkpoint import load_checkpoint
from yolov7.config import load_config

ROOT = Path(__file__).parents[2]
DRIVER = str(Path(__file__).with_name("driver.py"))

TINY = [
    "MODEL.YOLO.WIDTH_MUL", "0.125", "INPUT.INPUT_SIZE", "[96, 96]", "SOLVER.IMS_PER_BATCH", "4",
    "SOLVER.MAX_ITER", "24", "SOLVER.WARMUP_ITERS", "4", "SOLVER.FLAT_ITERS", "4",
    "SOLVER.LAST_PHASE_ITERS", "8", "SOLVER.CHECKPOINT_PERIOD", "4", "SOLVER.LOG_PERIOD", "1",
    "SOLVER.EMA.ENABLED", "True", "SOLVER.EMA.TAU", "10.0", "TEST.EVAL_PERIOD", "0",
    "INPUT.MOSAIC_AND_MIXUP.ENABLED", "True", "INPUT.MOSAIC_AND_MIXUP.PROBABILITY", "0.7",
    "SOLVER.AMP.ENABLED", "True", "MODEL.MEMORY_FORMAT", "channels_last",
    "DATALOADER.NUM_WORKERS", "2", "MODEL.DEVICE", "cpu", "SEED", "3",
]  # fmt: skip


class Run:
    """A running `train_net.py`."""

    def __init__(self, process, folder, log):
        self.process = process
        self.folder = Path(folder)
        self.log = Path(log)

    def wait(self, code=0):
        """Wait for the end and check the exit code; return what was printed."""
        self.process.join(120)
        if self.process.exitcode is None:
            self.process.kill()
        printed = self.log.read_text(errors="replace") if self.log.exists() else ""
        assert self.process.exitcode == code, f"exit code {self.process.exitcode}:\n{printed}"
        return printed

    def wait_for(self, name):
        """Wait until a file of the output folder is there."""
        deadline = time.monotonic() + 120
        while not (self.folder / name).exists():
            assert self.process.is_alive(), self.wait()
            assert time.monotonic() < deadline, f"{name} did not come"
            time.sleep(0.02)

    def checkpoint(self, name="model_final.pth"):
        return load_checkpoint(self.folder / name)

    def differences(self, other, name="model_final.pth"):
        """Names of the entries in which this and another run's checkpoint differ in any bit."""
        return _differences(self.checkpoint(name), other.checkpoint(name))

    def metrics(self):
        lines = (self.folder / "metrics.json").read_text().splitlines()
        return {entry["iteration"]: entry for entry in map(json.loads, lines)}


class Runner:
    """Starts runs from one server process, so that PyTorch is imported only once."""

    def __init__(self, datasets):
        self.root = ROOT
        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ["DETECTRON2_DATASETS"] = str(datasets)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["torch._dynamo", "yolov7.engine.setup", "torch.utils.tensorboard"]
        )
        self._count = 0

    def start(self, folder, *arguments, opts=(), **environment):
        """Start `train_net.py` with an output folder, flags, and keys beside those of `TINY`."""
        config = ROOT / "configs" / "digits" / "yolox_nano.yaml"
        arguments = ["--config-file", config, *arguments, *TINY, "OUTPUT_DIR", folder, *opts]
        return self.start_script(ROOT / "train_net.py", folder, arguments, environment)

    def start_script(self, script, folder, arguments, environment):
        """Start any script; what it prints goes to a file beside `folder`."""
        self._count += 1
        log = Path(folder).parent / f"{Path(folder).name}_{self._count}.txt"
        before = sys.argv
        # The server's children get their arguments from this process's sys.argv.
        sys.argv = [DRIVER, str(log), json.dumps(environment), str(script), *map(str, arguments)]
        try:
            process = self._context.Process(target=runpy.run_path, args=(DRIVER,))
            process.start()
        finally:
            sys.argv = before
        return Run(process, folder, log)

    def ranks(self, world_size):
        """The environments that torchrun would give to the processes of this machine."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        shared = {"WORLD_SIZE": str(world_size), "LOCAL_WORLD_SIZE": str(world_size),
                  "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        return [{**shared, "RANK": str(i), "LOCAL_RANK": str(i)} for i in range(world_size)]

    def run(self, folder, *arguments, opts=(), code=0, **environment):
        """Run to the end."""
        run = self.start(folder, *arguments, opts=opts, **environment)
        run.printed = run.wait(code)
        return run


@pytest.fixture(autouse=True)
def plain_logging():
    """Undo what `setup_logger` does, so that `caplog` sees the messages of later tests."""
    logger = logging.getLogger("yolov7")
    yield
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


@pytest.fixture(scope="session")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    subprocess.run(
        [sys.executable, str(ROOT / "datasets" / "digits.py"), "--output", str(folder / "digits"),
         "--num-train", "24", "--num-val", "8", "--image-size", "96"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def tiny_config(datasets, tmp_path):
    """The config of the runs, to be used in this process."""
    opts = [*TINY, "OUTPUT_DIR", str(tmp_path / "run"), "DATASETS.TRAIN", "('tiny_train',)"]
    opts += ["DATASETS.TEST", "()"]
    cfg = load_config(ROOT / "configs" / "digits" / "yolox_nano.yaml", opts)
    cfg.DATASETS.REGISTER = [
        {"NAME": "tiny_train", "FORMAT": "coco",
         "ANNOTATIONS": str(datasets / "digits" / "annotations" / "train.json"),
         "IMAGES": str(datasets / "digits" / "train")}
    ]  # fmt: skip
    return cfg


@pytest.fixture(scope="session")
def runner(datasets):
    before = dict(os.environ)
    yield Runner(datasets)
    os.environ.clear()
    os.environ.update(before)


def _differences(a, b, name=""):
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for key in a for d in _differences(a[key], b[key], f"{name}.{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i in range(len(a)) for d in _differences(a[i], b[i], f"{name}.{i}")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [name]
    return [] if type(a) is type(b) and a == b else [name]
