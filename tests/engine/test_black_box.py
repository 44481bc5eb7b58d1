import copy
import json
import math
import sys

import pytest
import torch

from yolov7.checkpoint import load_checkpoint, save_checkpoint
from yolov7.d2 import BitMasks, Boxes, HookBase, Instances
from yolov7.engine.black_box import BlackBox, NonFiniteLoss, pack_sample, replay, unpack_sample
from yolov7.engine.precision import Precision
from yolov7.utils.errors import WeightsError


def run_into_bad_loss(make_toy, folder, *, stop, **options):
    toy = make_toy(bad=(3,), **options)
    toy.trainer.on_nonfinite_loss = BlackBox(
        folder, loss_weights=toy.model.criterion.loss_weights, stop=stop
    )
    return toy


def test_stop_leaves_a_record_that_replays(make_toy, tmp_path):
    toy = run_into_bad_loss(make_toy, tmp_path, stop=True)
    with pytest.raises(NonFiniteLoss, match=r"iteration 3 .*train_net\.py .*--replay"):
        toy.trainer.train()
    folder = tmp_path / "black_box" / "iteration_0000003_rank_0"
    report = json.loads((folder / "report.json").read_text())
    assert report["iteration"] == 3
    assert report["losses"]["loss_fit"] == "nan"
    assert report["sources"] == [[f"3_{i}.jpg"] for i in range(4)]
    assert report["weights_that_are_not_finite"] == []
    assert replay(copy.deepcopy(make_toy().model), folder, Precision("cpu"))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("train_net.py", "python train_net.py"),
        ("/my code/train_net.py", "python '/my code/train_net.py'"),
        ("yolov7 train", "yolov7 train"),
        # Someone's own script has no --replay.
        ("mine.py", "python train_net.py"),
    ],
)
def test_the_command_is_the_one_in_use(make_toy, tmp_path, monkeypatch, program, expected):
    monkeypatch.setattr(sys, "argv", [program, "--num-gpus", "0"])
    toy = run_into_bad_loss(make_toy, tmp_path, stop=True)
    with pytest.raises(NonFiniteLoss):
        toy.trainer.train()
    folder = tmp_path / "black_box" / "iteration_0000003_rank_0"
    command = json.loads((folder / "report.json").read_text())["command"]
    assert command == f"{expected} --config-file {tmp_path}/config.yaml --replay {folder}"


def test_replay_repeats_the_numbers(make_toy, tmp_path):
    """Dropout included: the terms of a good step come out to the last bit."""

    class Break(HookBase):
        def after_step(self):
            if self.trainer.iter == 2:
                with torch.no_grad():
                    self.trainer.model.out.bias.fill_(float("inf"))

    toy = make_toy(more_hooks=[Break()])
    toy.model.criterion.loss_weights["loss_l1"] = 0.5
    toy.trainer.on_nonfinite_loss = BlackBox(
        tmp_path, loss_weights=toy.model.criterion.loss_weights, stop=True
    )
    with pytest.raises(NonFiniteLoss):
        toy.trainer.train()
    folder = tmp_path / "black_box" / "iteration_0000003_rank_0"
    report = json.loads((folder / "report.json").read_text())
    assert report["weights_that_are_not_finite"] == ["out.bias"]
    step = load_checkpoint(folder / "step.pth")
    assert step["loss_weights"]["loss_l1"] == 0.5
    # With the cause repaired the replay says that the step was not repeated.
    step["model"]["out.bias"] = torch.zeros(1)
    save_checkpoint(folder / "step.pth", step)
    assert not replay(make_toy().model, folder, Precision("cpu"))


def test_skip_leaves_weights_and_statistics_as_they_were(make_toy, tmp_path):
    states = {}

    class Look(HookBase):
        def before_step(self):
            state = {**self.trainer.model.state_dict()}
            states[self.trainer.iter] = {name: value.clone() for name, value in state.items()}

    toy = run_into_bad_loss(make_toy, tmp_path, stop=False, more_hooks=[Look()])
    toy.trainer.train()
    assert toy.trainer.is_complete
    assert all(torch.equal(states[3][name], states[4][name]) for name in states[3])
    assert not all(torch.equal(states[4][name], states[5][name]) for name in states[4])
    assert all(value.isfinite().all() for value in toy.model.state_dict().values())
    assert all(value.isfinite().all() for value in toy.ema.model.state_dict().values())
    assert (tmp_path / "black_box" / "iteration_0000003_rank_0" / "step.pth").exists()


def test_record_of_another_model(make_toy, tmp_path):
    toy = run_into_bad_loss(make_toy, tmp_path, stop=True)
    with pytest.raises(NonFiniteLoss):
        toy.trainer.train()
    other = torch.nn.Linear(2, 2)
    with pytest.raises(WeightsError, match="another model"):
        replay(other, tmp_path / "black_box" / "iteration_0000003_rank_0", Precision("cpu"))


def test_sample_round_trip_through_a_file(tmp_path):
    instances = Instances((4, 6))
    instances.gt_boxes = Boxes(torch.tensor([[0.0, 1.0, 2.0, 3.0]]))
    instances.gt_classes = torch.tensor([2])
    instances.gt_masks = BitMasks(torch.ones(1, 4, 6, dtype=torch.bool))
    sample = {
        "image": torch.randint(0, 255, (3, 4, 6), dtype=torch.uint8), "height": 8, "width": 12,
        "file_name": "a.jpg", "sources": ("a.jpg", "b.jpg"), "instances": instances,
        "score": math.pi, "nothing": None,
    }  # fmt: skip
    save_checkpoint(tmp_path / "sample.pth", pack_sample(sample))
    back = unpack_sample(load_checkpoint(tmp_path / "sample.pth"))
    assert torch.equal(back["image"], sample["image"])
    assert back["sources"] == ["a.jpg", "b.jpg"]
    assert back["instances"].image_size == (4, 6)
    assert torch.equal(back["instances"].gt_boxes.tensor, instances.gt_boxes.tensor)
    assert torch.equal(back["instances"].gt_classes, instances.gt_classes)
    assert torch.equal(back["instances"].gt_masks.tensor, instances.gt_masks.tensor)
    assert (back["score"], back["nothing"], back["height"]) == (math.pi, None, 8)
