"""Arrays come out of pickles; whatever else a pickle asks for does not happen."""

import collections
import pickle

import numpy as np
import pytest

from yolov7.checkpoint import pickled_arrays
from yolov7.checkpoint.pickled_arrays import load_pickled_arrays
from yolov7.utils.errors import WeightsError

ARRAYS = {
    "c": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "big endian": np.array([1.5, -2.0], dtype=">f4"),
    "half": np.array([[0.5]], dtype=np.float16),
    "integers": np.array([-1, 2**40]),
    "bytes": np.array([0, 255], dtype=np.uint8),
    "bools": np.array([True, False]),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "number": np.array(3.0),
    "strided": np.arange(6.0)[::2],
    "scalar": np.float32(0.25),
}
OTHERS = {
    "text": "ä",
    "raw": b"\x00\xff",
    "none": None,
    "flag": True,
    "list": [1, (2.5,)],
    "no bytes": b"",
}


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_of_every_protocol(tmp_path, protocol):
    content = {"model": collections.OrderedDict(ARRAYS), **ARRAYS, **OTHERS}
    found = load_pickled_arrays(write(tmp_path / "a.pkl", content, protocol))
    assert list(found) == list(content)
    for state in (found, found["model"]):
        for name, expected in ARRAYS.items():
            native = expected.astype(expected.dtype.newbyteorder("="))
            np.testing.assert_array_equal(state[name], native, strict=True)
            assert state[name].dtype.isnative
            assert state[name].flags.writeable
    assert {name: found[name] for name in OTHERS} == OTHERS


PYTHON_2 = (
    b"\x80\x02}q\x00(U\x05modelq\x01}q\x02U\x07conv1_wq\x03"
    b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85q\x06U\x01bq\x07"
    b"\x87q\x08Rq\t(K\x01K\x02K\x01\x86q\ncnumpy\ndtype\nq\x0bU\x02f4q\x0cK\x00K\x01\x87q\rRq\x0e"
    b"(K\x03U\x01<q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89"
    b"U\x08\x00\x00\xc0?\x00\x00\x00\xc0q\x11tq\x12bsU\n__author__q\x13U\x06Caffe2q\x14u."
)
"""{"model": {"conv1_w": [[1.5], [-2.0]]}, "__author__": "Caffe2"}, with the bytes as text."""


def test_a_file_of_python_2(tmp_path):
    (tmp_path / "a.pkl").write_bytes(PYTHON_2)
    for found in (
        load_pickled_arrays(tmp_path / "a.pkl"),
        pickle.loads(PYTHON_2, encoding="latin1"),
    ):
        assert found["__author__"] == "Caffe2"
        np.testing.assert_array_equal(
            found["model"]["conv1_w"], np.array([[1.5], [-2.0]], dtype=np.float32), strict=True
        )


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


def hostile_calls(marker):
    import builtins
    import os
    import subprocess

    write_marker = f"open({str(marker)!r}, 'w').write('x')"
    return {
        "system": Call(os.system, f"touch {marker}"),
        "eval": Call(builtins.eval, write_marker),
        "exec": Call(builtins.exec, write_marker),
        "Popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "open": Call(open, str(marker), "w"),
        "getattr": Call(getattr, "a", "upper"),
        "__import__": Call(__import__, "antigravity"),
        "fromfile": Call(np.fromfile, str(marker)),
        "load": Call(np.load, str(marker)),
        "set": Call(set, [1]),
        "bytearray": Call(bytearray, 2**50),
    }


@pytest.mark.parametrize("name", sorted(hostile_calls("x")))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_calls_of_other_functions_are_refused(tmp_path, name, protocol):
    marker = tmp_path / "marker"
    content = {"model": {"a": np.zeros(2), "b": hostile_calls(marker)[name]}}
    path = write(tmp_path / "hostile.pkl", content, protocol)
    with pytest.raises(
        WeightsError,
        match=rf"hostile\.pkl names \w+(\.\w+)*\.{name}, .* could run code, and is refused",
    ):
        load_pickled_arrays(path)
    assert not marker.exists()


def test_hostile_files_would_run(tmp_path):
    """Python's own reader does what the file asks for, so the test above can fail."""
    marker = tmp_path / "marker"
    path = write(tmp_path / "hostile.pkl", hostile_calls(marker)["eval"])
    pickle.loads(path.read_bytes())
    assert marker.exists()


def build(answer, state):
    """A pickle that sets attributes of a function that arrays are made of."""
    return b"\x80\x02}X\x01\x00\x00\x00a" + answer + pickle.dumps(state, 2)[2:-1] + b"bs."


@pytest.mark.parametrize(
    "answer",
    [
        b"cnumpy\ndtype\n",
        b"cnumpy\nndarray\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"c_codecs\nencode\n",
        b"ccollections\nOrderedDict\n",
    ],
)
@pytest.mark.parametrize(
    "state",
    [{"x": 1}, (None, {"__defaults__": (1,)}), (None, {"fill": 1}), (1, (1,), 1, False, "a")],
)
def test_no_instruction_changes_how_arrays_are_made(tmp_path, answer, state):
    before = {
        name: dict(vars(function)) if hasattr(function, "__dict__") else {}
        for name, function in pickled_arrays._ANSWERS.items()
    }
    (tmp_path / "a.pkl").write_bytes(build(answer, state))
    with pytest.raises(WeightsError, match="it changes how its values are made"):
        load_pickled_arrays(tmp_path / "a.pkl")
    assert before == {
        name: dict(vars(function)) if hasattr(function, "__dict__") else {}
        for name, function in pickled_arrays._ANSWERS.items()
    }


def array_call(state, code="f4"):
    dtype = Call(np.dtype, code, False, True, state=(3, "<", None, None, None, -1, -1, 0))
    version, shape, by_columns, content = state
    reconstruct = np.zeros(1).__reduce__()[0]
    return Call(
        reconstruct, np.ndarray, (0,), b"b", state=(version, shape, dtype, by_columns, content)
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([object, None]), "elements of the kind 'O8', expected numbers"),
        (np.array(["text"]), "elements of the kind 'U4'"),
        (np.zeros(1, dtype=[("a", "f4")]), "elements of the kind 'V4'"),
        (np.zeros(1, dtype=np.complex64), "elements of the kind 'c8'"),
        (array_call((1, (2,), False, b"\0" * 4)), "cannot reshape array of size 1"),
        (array_call((1, (2**40,), False, b"\0" * 4)), "cannot reshape"),
        (array_call((1, (-1,), False, b"\0" * 8)), r"an array has the shape \(-1,\)"),
        (array_call((1, (1,), False, b"\0" * 3)), "buffer size must be a multiple"),
        (array_call((1, (1,), False, 2**50)), "bytes-like object is required"),
        (Call(np.zeros(1).__reduce__()[0], np.ndarray, (0,), b"b"), "an array has no numbers"),
    ],
)
def test_arrays_of_other_things_or_other_lengths(tmp_path, value, message):
    path = write(tmp_path / "a.pkl", {"model": {"a": value}})
    with pytest.raises(
        WeightsError, match=rf"a\.pkl is damaged or is no pickle of arrays .*{message}"
    ):
        load_pickled_arrays(path)


def test_files_that_are_no_pickles_of_arrays(tmp_path):
    import torch

    with pytest.raises(WeightsError, match="does not exist"):
        load_pickled_arrays(tmp_path / "absent.pkl")
    (tmp_path / "text.pkl").write_text("weights")
    with pytest.raises(WeightsError, match=r"text\.pkl is damaged or is no pickle"):
        load_pickled_arrays(tmp_path / "text.pkl")
    torch.save({"model": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(
        WeightsError, match=r"x\.pth .* is no pickle .*\.pth and \.pt files are none"
    ):
        load_pickled_arrays(tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="expected a dict of arrays, got a list"):
        load_pickled_arrays(write(tmp_path / "list.pkl", [1]))
    whole = write(tmp_path / "cut.pkl", ARRAYS).read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pkl").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"cut\.pkl is damaged"):
            load_pickled_arrays(tmp_path / "cut.pkl")
