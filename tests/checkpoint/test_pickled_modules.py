"""Tensors come out of pickled modules; whatever else a pickle asks for does not happen."""

import io
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from yolov7.checkpoint import pickled_modules
from yolov7.checkpoint.pickled_modules import load_pickled_modules
from yolov7.utils.errors import WeightsError


@pytest.fixture
def authors_modules(monkeypatch):
    """Classes of modules that only the program which writes a file has."""
    parent, child = types.ModuleType("models"), types.ModuleType("models.common")

    class Conv(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1, bias=False)
            self.bn = nn.BatchNorm2d(3)
            self.act = nn.SiLU()
            self.register_buffer("hidden", torch.ones(2), persistent=False)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Sequential(Conv(), nn.MaxPool2d(2), Conv())
            self.names, self.stride = ["a", "b"], torch.tensor([8.0, 16.0])
            self.yaml = {"nc": 2, "anchors": [[1, 2], [3, 4]]}

    for kind in (Conv, Model):
        kind.__module__, kind.__qualname__ = "models.common", kind.__name__
        setattr(child, kind.__name__, kind)
    parent.common = child
    monkeypatch.setitem(sys.modules, "models", parent)
    monkeypatch.setitem(sys.modules, "models.common", child)
    return child


def test_modules_become_their_state_dicts(tmp_path, monkeypatch, authors_modules):
    torch.manual_seed(0)
    model = authors_modules.Model().half()
    checkpoint = {
        "epoch": -1,
        "best_fitness": np.array([0.5]),
        "training_results": None,
        "model": model,
        "ema": None,
        "updates": np.float64(3.0),
        "optimizer": None,
    }
    torch.save(checkpoint, tmp_path / "a.pt")
    monkeypatch.delitem(sys.modules, "models.common")
    monkeypatch.delitem(sys.modules, "models")
    found = load_pickled_modules(tmp_path / "a.pt")
    assert "models" not in sys.modules
    assert (found["epoch"], found["ema"]) == (-1, None)
    expected = model.state_dict()
    assert list(found["model"]) == list(expected)
    for name, value in found["model"].items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name])


def test_plain_state_dicts_strides_and_shared_storages(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    state = {"a": base.T, "b": base[1:], "c": torch.zeros(0, 3), "d": nn.Parameter(torch.ones(2))}
    torch.save(state, tmp_path / "a.pt")
    found = load_pickled_modules(tmp_path / "a.pt")
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert all(value.is_contiguous() for value in found.values())
    found["a"].zero_()
    assert found["b"].abs().sum() > 0


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def archive_of(pickled, path, storages=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in dict(storages).items():
            archive.writestr(f"archive/data/{name}", content)


class Storing(pickle.Pickler):
    """Writes pairs (Storage, ...) as references to storages."""

    def persistent_id(self, value):
        return value if isinstance(value, tuple) and value[:1] == ("storage",) else None


def pickled(value):
    stream = io.BytesIO()
    Storing(stream, protocol=2).dump(value)
    return stream.getvalue()


def hostile_calls(marker):
    import builtins
    import os
    import subprocess

    write = f"open({str(marker)!r}, 'w').write('x')"
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "eval": Call(builtins.eval, write),
        "exec": Call(builtins.exec, write),
        "subprocess": Call(subprocess.Popen, ["touch", str(marker)]),
        "open": Call(open, str(marker), "w"),
        "getattr": Call(getattr, nn.Linear(1, 1), "weight"),
        "import": Call(__import__, "antigravity"),
        "torch.load": Call(torch.load, str(marker)),
    }


@pytest.mark.parametrize("name", sorted(hostile_calls("x")))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_calls_of_other_functions_are_refused(tmp_path, name, protocol):
    marker = tmp_path / "marker"
    content = pickle.dumps({"model": hostile_calls(marker)[name]}, protocol=protocol)
    archive_of(content, tmp_path / "hostile.pt")
    with pytest.raises(WeightsError, match=r"hostile\.pt names .* could run code, and is refused"):
        load_pickled_modules(tmp_path / "hostile.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    "named",
    [b"ctorch._utils\n_rebuild_parameter\n", b"ccollections\nOrderedDict\n", b"cmodels.a\nB\n"],
)
@pytest.mark.parametrize("state", [{"x": 1}, (None, {"__defaults__": (1,)})])
def test_what_a_file_names_cannot_be_changed_by_it(tmp_path, named, state):
    before = (
        vars(pickled_modules._rebuild_parameter),
        pickled_modules._rebuild_parameter.__defaults__,
    )
    content = b"\x80\x02}X\x05\x00\x00\x00model" + named + pickle.dumps(state, 2)[2:-1] + b"bs."
    archive_of(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a\.pt is damaged"):
        load_pickled_modules(tmp_path / "a.pt")
    after = (
        vars(pickled_modules._rebuild_parameter),
        pickled_modules._rebuild_parameter.__defaults__,
    )
    assert after == before == ({}, None)


def test_a_known_module_name_lends_no_function(tmp_path):
    """Names below PyTorch's layers and the authors' modules give empty records, never functions."""
    marker = tmp_path / "marker"
    content = b"".join(
        [
            b"\x80\x02}X\x05\x00\x00\x00model",
            b"ctorch.nn.modules.module\nos.system\n",
            f"X{chr(len('touch ' + str(marker)))}\0\0\0touch {marker}".encode(),
            b"\x85Rs.",
        ]
    )
    archive_of(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="is refused"):
        load_pickled_modules(tmp_path / "a.pt")
    archive_of(content.replace(b"os.system", b"_os_sys_"), tmp_path / "b.pt")
    assert type(load_pickled_modules(tmp_path / "b.pt")["model"]).__name__ == "Record"
    assert not marker.exists()


def test_tensors_outside_their_storage_are_refused(tmp_path):
    from torch._utils import _rebuild_tensor_v2

    for size, stride, offset in [((2**40,), (0,), 0), ((4,), (1,), 1), ((2, 2), (4, 1), 0)]:
        storage = ("storage", torch.FloatStorage, "0", "cpu", 4)
        tensor = Call(_rebuild_tensor_v2, storage, offset, size, stride, False, None)
        archive_of(pickled({"model": tensor}), tmp_path / "a.pt", {"0": b"\0" * 16})
        with pytest.raises(WeightsError, match=r"a\.pt is damaged or is no PyTorch checkpoint"):
            load_pickled_modules(tmp_path / "a.pt")


def test_storages_of_another_length_or_kind_are_refused(tmp_path):
    from torch._utils import _rebuild_tensor_v2

    for storage, message in [
        (("storage", torch.FloatStorage, "0", "cpu", 5), "storage 0 has a wrong length"),
        (("storage", nn.Linear, "0", "cpu", 4), "expected a storage of numbers"),
        (("storage", torch.FloatStorage, "../data.pkl", "cpu", 4), "is damaged or is no"),
    ]:
        tensor = Call(_rebuild_tensor_v2, storage, 0, (4,), (1,), False, None)
        archive_of(pickled({"model": tensor}), tmp_path / "a.pt", {"0": b"\0" * 16})
        with pytest.raises(WeightsError, match=message):
            load_pickled_modules(tmp_path / "a.pt")


def test_a_module_that_holds_itself_is_refused(tmp_path):
    """state["_modules"]["x"] is the module: walking it would never end."""
    content = (
        b"\x80\x02}X\x05\x00\x00\x00modelctorch.nn.modules.module\nModule\n)\x81q\x00}"
        b"(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00xh\x00sub"
        b"s."
    )
    archive_of(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="recursion"):
        load_pickled_modules(tmp_path / "a.pt")


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_pickled_modules(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("weights")
    with pytest.raises(WeightsError, match=r"no PyTorch checkpoint of version 1\.6"):
        load_pickled_modules(tmp_path / "text.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(WeightsError, match=r"has 0 data\.pkl"):
        load_pickled_modules(tmp_path / "zip.pt")
    archive_of(b"\x80\x02]q\x00.", tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="expected a dict of a checkpoint, got a list"):
        load_pickled_modules(tmp_path / "list.pt")
    archive_of(b"\x80\x02}q", tmp_path / "cut.pt")
    with pytest.raises(WeightsError, match=r"cut\.pt is damaged"):
        load_pickled_modules(tmp_path / "cut.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(WeightsError, match="got a Tensor"):
        load_pickled_modules(tmp_path / "tensor.pt")
