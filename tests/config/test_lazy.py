"""LazyConfig files through the door, and what every mistake is answered with."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from yolov7.config import is_lazy_config, load_config, load_lazy_config
from yolov7.d2 import instantiate
from yolov7.utils.errors import ConfigError

TEXT = """
from fractions import Fraction
from yolov7.d2 import LazyCall as L

model = L(Fraction)(numerator=3)
train = dict(device="cuda", init_checkpoint="")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.py"
    path.write_text(TEXT)
    return path


def test_descriptions_and_overrides(file: Path) -> None:
    cfg = load_lazy_config(file, ["train.device=cpu", "model.numerator=5", "model.denominator=7"])
    assert (cfg.train.device, cfg.model.numerator) == ("cpu", 5)
    assert instantiate(cfg.model) == Fraction(5, 7)


def test_it_is_known_by_its_suffix(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_lazy_config(file) and not is_lazy_config("digits/yolox_nano")
    monkeypatch.chdir(file.parent)
    assert is_lazy_config("a.py") and load_lazy_config("a.py").model.numerator == 3
    assert not is_lazy_config("a"), "a program is run only when it is named in full"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.devce=cpu", "there is no 'devce'. Did you mean 'device'?"),
        ("trian.device=cpu", "there is no 'trian'. Did you mean 'train'?"),
        ("train.device.x=1", "what is before 'x' has no keys"),
        ("train.device", "changes are KEY=VALUE, got 'train.device'"),
        ("MODEL.DEVICE", "changes are KEY=VALUE"),
    ],
)
def test_wrong_overrides(file: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_lazy_config(file, [override])
    assert said in str(caught.value) and "a.py" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = z\n", "line 2: NameError: name 'z' is not defined"),
        ("import no_such_module\n", "line 1: ModuleNotFoundError"),
        ("x = (\n", "SyntaxError"),
    ],
)
def test_a_program_that_fails_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "b.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_lazy_config(tmp_path / "b.py")
    assert "b.py" in str(caught.value) and said in str(caught.value)


def test_a_missing_file_and_the_scripts_that_take_none(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"b\.py does not exist\. Did you mean 'a\.py'"):
        load_lazy_config(file.with_name("b.py"))
    with pytest.raises(ConfigError, match=r"a\.py is a LazyConfig.*only demo\.py takes one"):
        load_config(file)
