"""Two processes do what one does."""

import json
import os
import signal

import pytest
import torch

pytestmark = pytest.mark.end_to_end

SHORT = ["SOLVER.MAX_ITER", "6", "SOLVER.LAST_PHASE_ITERS", "2", "SOLVER.WARMUP_ITERS", "0"]


YOLOX = [
    "configs/digits/yolox_nano.yaml", "MODEL.DEVICE", "cpu", "MODEL.YOLO.WIDTH_MUL", "0.125",
    "INPUT.INPUT_SIZE", "[96, 96]",
]  # fmt: skip
# With an auxiliary head.
YOLOV7 = ["tests/end_to_end/yolov7_w6.yaml"]


@pytest.mark.parametrize("config", [YOLOX, YOLOV7], ids=["yolox", "yolov7"])
def test_gradients_of_two_ranks_are_those_of_one(runner, tmp_path, config):
    """To 1e-10, in float64 with norm layers in eval mode."""
    from_config = [*config, "SOLVER.IMS_PER_BATCH", "8", "DATALOADER.NUM_WORKERS", "0"]
    results = []
    for world_size in (1, 2):
        path = tmp_path / f"{world_size}.pth"
        runs = [
            runner.start_script(
                os.path.join(os.path.dirname(__file__), "rank_gradients.py"),
                tmp_path / f"rank{environment['RANK']}_of_{world_size}",
                [path, *from_config],
                environment,
            )
            for environment in runner.ranks(world_size)
        ]
        for run in runs:
            run.wait()
        results.append(torch.load(path, weights_only=True))
    one, two = results
    assert torch.allclose(one["losses"], two["losses"], rtol=1e-12, atol=1e-12)
    assert one["gradients"].keys() == two["gradients"].keys()
    largest = max(gradient.abs().max() for gradient in one["gradients"].values())
    assert largest > 1e-3
    for name, gradient in one["gradients"].items():
        assert (gradient - two["gradients"][name]).abs().max() < 1e-10, name


def test_two_ranks_train_and_evaluate(runner, tmp_path):
    folder = tmp_path / "run"
    # One image a forward pass on each rank: the size of a batch changes the last bits of a
    # convolution, and with it which detections of a hardly trained model pass the threshold.
    opts = [*SHORT, "TEST.IMS_PER_BATCH", "2"]
    runs = [runner.start(folder, opts=opts, **env) for env in runner.ranks(2)]
    for run in runs:
        run.wait()
    assert (folder / "log.txt.rank1").exists()
    checkpoint = runs[0].checkpoint()
    assert checkpoint["world_size"] == 2
    assert len(checkpoint["rng"]) == 2
    together = runs[0].metrics()[6]
    detections = json.loads((folder / "inference/coco_instances_results.json").read_text())

    weights = [*SHORT, "TEST.IMS_PER_BATCH", "1", "MODEL.WEIGHTS", str(folder / "model_final.pth")]
    alone = runner.run(tmp_path / "alone", "--eval-only", opts=weights)
    assert "'ema'" in alone.printed
    expected = json.loads((tmp_path / "alone/inference/coco_instances_results.json").read_text())
    order = lambda d: (d["image_id"], d["category_id"], -d["score"], d["bbox"])  # noqa: E731
    assert len(expected) > 0
    assert sorted(detections, key=order) == sorted(expected, key=order)
    line = f"{together['bbox/AP']:.4f},{together['bbox/AP50']:.4f}"
    assert line in alone.printed

    refused = runner.run(folder, "--resume", opts=opts, code=1)
    assert "was written by 2 processes, this is a run of 1" in refused.printed


def test_processes_started_by_the_flag_stop_at_a_signal(runner, tmp_path):
    run = runner.start(tmp_path / "run", "--num-gpus", "2")
    run.wait_for("model_0000003.pth")
    os.kill(run.process.pid, signal.SIGTERM)
    run.wait(code=128 + signal.SIGTERM)
    last = run.checkpoint((run.folder / "last_checkpoint").read_text())
    assert last["world_size"] == 2
    assert max(run.metrics()) == last["iteration"]
