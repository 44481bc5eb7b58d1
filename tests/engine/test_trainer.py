import signal

import pytest
import torch

from yolov7.checkpoint import load_checkpoint
from yolov7.d2 import HookBase, get_event_storage
from yolov7.engine.precision import Precision
from yolov7.engine.trainer import TrainingStopped, split_batch
from yolov7.utils.errors import ConfigError


def flat(state, prefix=""):
    """All tensors and numbers of a checkpoint by dotted name."""
    items = state.items() if isinstance(state, dict) else enumerate(state)
    for name, value in items:
        if isinstance(value, (dict, list, tuple)):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def assert_equal_states(a, b):
    a, b = dict(flat(a)), dict(flat(b))
    assert a.keys() == b.keys()
    for name in a:
        same = torch.equal(a[name], b[name]) if torch.is_tensor(a[name]) else a[name] == b[name]
        assert same, name


class Recorder(HookBase):
    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name in ("before_train", "before_step", "after_backward", "after_step", "after_train"):
            self.calls.append((name, self.trainer.iter))
        return super().__getattribute__(name)


def test_hooks_are_called_in_detectron2s_order(make_toy):
    recorder = Recorder()
    make_toy(max_iter=2, more_hooks=[recorder]).trainer.train()
    assert recorder.calls == [
        ("before_train", 0),
        ("before_step", 0), ("after_backward", 0), ("after_step", 0),
        ("before_step", 1), ("after_backward", 1), ("after_step", 1),
        ("after_train", 2),
    ]  # fmt: skip


def test_after_train_comes_also_after_an_error(make_toy):
    class Failing(HookBase):
        def after_step(self):
            raise KeyError("mine")

    recorder = Recorder()
    toy = make_toy(more_hooks=[recorder, Failing()])
    with pytest.raises(KeyError, match="mine"):
        toy.trainer.train()
    assert recorder.calls[-1] == ("after_train", 0)
    assert not toy.trainer.is_complete


def test_the_first_error_counts_and_every_hook_may_end(make_toy, caplog):
    class Failing(HookBase):
        def after_step(self):
            raise KeyError("first")

        def after_train(self):
            raise OSError("second")

    recorder = Recorder()
    toy = make_toy(more_hooks=[Failing(), recorder])
    with pytest.raises(KeyError, match="first"):
        toy.trainer.train()
    assert recorder.calls[-1] == ("after_train", 0)
    assert "Failing could not end orderly: second" in caplog.text


def test_an_error_in_the_end_of_a_good_training_is_raised(make_toy):
    class Failing(HookBase):
        def after_train(self):
            raise OSError("at last")

    with pytest.raises(OSError, match="at last"):
        make_toy(max_iter=1, more_hooks=[Failing()]).trainer.train()


def test_gradients_are_exchanged_once_an_iteration(make_toy):
    """Of the two parts of a batch the first keeps its gradients local."""
    events = []

    class Local:
        def __enter__(self):
            events.append("local")

        def __exit__(self, *error):
            events.append("end")

    toy = make_toy(max_iter=1, accumulation_steps=2)
    toy.model.no_sync = Local
    toy.model.register_forward_pre_hook(lambda module, args: events.append(len(args[0])))
    toy.trainer.train()
    assert events == ["local", 2, "end", 2]


def test_only_hooks_are_registered(make_toy):
    with pytest.raises(TypeError, match="expected a HookBase, got int"):
        make_toy().trainer.register_hooks([3])


def test_one_step_by_hand(make_toy):
    """A step is: gradient of the sum of the losses, then the optimiser."""
    toy, plain = make_toy(max_iter=1), make_toy(max_iter=1)
    batch = next(iter(plain.trainer.loader))
    plain.model.train()
    state = torch.get_rng_state()
    sum(plain.model(batch).values()).backward()
    plain.optimizer.step()
    torch.set_rng_state(state)
    toy.trainer.train()
    for a, b in zip(toy.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_losses_and_times_reach_the_storage(make_toy):
    seen = []

    class Look(HookBase):
        def after_step(self):
            latest = get_event_storage().latest()
            seen.append({name: value for name, (value, _) in latest.items()})

    make_toy(max_iter=3, more_hooks=[Look()]).trainer.train()
    assert {"loss_fit", "loss_l1", "total_loss", "data_time", "lr"} <= seen[0].keys()
    assert seen[0]["total_loss"] == pytest.approx(seen[0]["loss_fit"] + seen[0]["loss_l1"])
    assert [entry["lr"] for entry in seen] == pytest.approx([0.05, 0.025, 0.05 / 3])


@pytest.mark.parametrize("stop_after", [3, 7])
def test_resumed_run_ends_in_the_same_bits(make_toy, tmp_path, stop_after):
    """Weights, average, optimizer and random generators, with dropout and batch norm."""

    class Kill(HookBase):
        def before_step(self):
            if self.trainer.iter == stop_after + 2:
                raise ConnectionError

    whole = make_toy(tmp_path / "whole")
    whole.trainer.train()
    with pytest.raises(ConnectionError):
        make_toy(tmp_path / "cut", more_hooks=[Kill()]).trainer.train()
    checkpoint = load_checkpoint(tmp_path / "cut" / f"model_{stop_after:07d}.pth")
    assert checkpoint["iteration"] == stop_after
    torch.manual_seed(99)
    rest = make_toy(tmp_path / "cut", start_iter=stop_after + 1)
    rest.state.restore(checkpoint, rank=0)
    rest.trainer.train()
    assert_equal_states(
        load_checkpoint(tmp_path / "cut" / "model_final.pth"),
        load_checkpoint(tmp_path / "whole" / "model_final.pth"),
    )


def test_checkpoint_keys(make_toy, tmp_path):
    make_toy(max_iter=4).trainer.train()
    checkpoint = load_checkpoint(tmp_path / "model_final.pth")
    assert checkpoint.keys() == {
        "model", "ema", "optimizer", "scheduler", "scaler", "hooks", "iteration", "seed", "rng",
        "world_size",
    }  # fmt: skip
    assert (checkpoint["iteration"], checkpoint["seed"], checkpoint["world_size"]) == (3, 5, 1)
    assert checkpoint["ema"]["updates"] == 4
    assert checkpoint["rng"][0].keys() >= {"python", "numpy", "torch"}


def test_a_signal_finishes_the_step_and_saves(make_toy, tmp_path):
    class Signal(HookBase):
        def before_step(self):
            if self.trainer.iter == 5:
                self.trainer.request_stop(signal.SIGTERM)

    toy = make_toy(more_hooks=[Signal()])
    with pytest.raises(TrainingStopped) as stopped:
        toy.trainer.train()
    assert stopped.value.signal_number == signal.SIGTERM
    assert toy.checkpointer.last() == tmp_path / "model_0000005.pth"
    assert load_checkpoint(toy.checkpointer.last())["iteration"] == 5


def test_resuming_follows_the_present_config(make_toy):
    """What the user changes in the config counts, as for the learning rate."""
    toy = make_toy(max_iter=4)
    toy.trainer.train()
    checkpoint = load_checkpoint(toy.checkpointer.last())
    rest = make_toy(start_iter=4, max_iter=5)
    for group in rest.optimizer.param_groups:
        group["weight_decay"] = 0.3
    rest.state.restore(checkpoint, rank=0)
    assert rest.optimizer.param_groups[0]["weight_decay"] == 0.3
    assert rest.optimizer.state_dict()["state"]


def test_a_complete_training_is_not_repeated(make_toy):
    toy = make_toy(max_iter=4, start_iter=4)
    before = [p.clone() for p in toy.model.parameters()]
    toy.trainer.train()
    assert toy.trainer.is_complete
    assert all(torch.equal(a, b) for a, b in zip(before, toy.model.parameters(), strict=True))


def test_accumulation_equals_the_whole_batch(make_toy):
    """The toy's normaliser, the mean over equal parts, is constant; no batch norm, no dropout."""
    gradients = []
    for parts in (1, 2, 4):
        toy = make_toy(max_iter=1, accumulation_steps=parts)
        toy.model.double().net = toy.model.net[0]
        toy.trainer.train()
        gradients.append([p.grad.clone() for p in toy.model.parameters() if p.grad is not None])
    for other in gradients[1:]:
        for a, b in zip(gradients[0], other, strict=True):
            assert torch.allclose(a, b, atol=1e-12, rtol=0)


def test_splitting_a_batch():
    batch = [{"n": n} for n in range(6)]
    assert split_batch(batch, 3) == [batch[:2], batch[2:4], batch[4:]]
    with pytest.raises(ConfigError, match=r"6 samples .*ACCUMULATION_STEPS must divide"):
        split_batch(batch, 4)


def test_clipping_comes_before_the_step(make_toy):
    limits = []

    def clip(parameters):
        for parameter in parameters:
            parameter.grad.clamp_(-0.01, 0.01)
            limits.append(parameter.grad.abs().max().item())

    toy = make_toy(max_iter=1, clip_gradients=clip)
    before = [p.clone() for p in toy.model.parameters()]
    toy.trainer.train()
    assert len(limits) == len(before)
    for a, b in zip(before, toy.model.parameters(), strict=True):
        assert (a - b).abs().max() <= 0.05 * 0.01 + 1e-6


def test_bfloat16_keeps_weights_and_losses_in_float32(make_toy):
    dtypes = []

    def observe(module, inputs, output):
        dtypes.append(output.dtype)

    toy = make_toy(max_iter=2, precision=Precision("cpu", torch.bfloat16))
    toy.model.out.register_forward_hook(observe)
    toy.trainer.train()
    assert set(dtypes) == {torch.bfloat16}
    assert toy.model.out.weight.dtype == torch.float32


def test_float16_is_for_cuda():
    with pytest.raises(ConfigError, match=r"float16 works on CUDA only.*bfloat16"):
        Precision("cpu", torch.float16)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, None])
def test_training_on_a_gpu_resumes_with_its_scaler(make_toy, tmp_path, dtype):
    def precision():
        return Precision("cuda", dtype)

    whole = make_toy(tmp_path / "whole", device="cuda", precision=precision())
    whole.trainer.train()
    make_toy(tmp_path / "cut", device="cuda", precision=precision(), max_iter=8).trainer.train()
    rest = make_toy(tmp_path / "cut", device="cuda", precision=precision(), start_iter=8)
    rest.state.restore(load_checkpoint(tmp_path / "cut" / "model_final.pth"), rank=0)
    rest.trainer.train()
    for a, b in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert rest.trainer.precision.scaler.is_enabled() == (dtype == torch.float16)
