"""The maker of the digits data set."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from yolov7.utils.errors import DatasetError, UserError

SCRIPT = Path(__file__).parents[2] / "datasets" / "digits.py"


@pytest.fixture(scope="module")
def digits() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["digits_script"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parameters(digits: ModuleType):
    return digits.DigitsParameters(num_train=24, num_val=20, seed=3)


@pytest.fixture(scope="module")
def folder(digits: ModuleType, parameters, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("made") / "digits"
    assert digits.make_digits(output, parameters)
    return output


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_same_seed_same_bytes_other_seed_other_pictures(digits, parameters, folder, tmp_path):
    digits.make_digits(tmp_path / "again", parameters)
    assert contents(tmp_path / "again") == contents(folder)
    other = digits.DigitsParameters(num_train=1, num_val=1, seed=4)
    digits.make_digits(tmp_path / "other", other)
    assert contents(tmp_path / "other")["train/000001.jpg"] != contents(folder)["train/000001.jpg"]


def test_a_larger_set_begins_with_the_smaller(digits, folder, tmp_path):
    digits.make_digits(tmp_path / "small", digits.DigitsParameters(num_train=5, num_val=2, seed=3))
    small, large = contents(tmp_path / "small"), contents(folder)
    pictures = [name for name in small if name.endswith(".jpg")]
    assert len(pictures) == 7
    assert all(small[name] == large[name] for name in pictures)


def test_train_and_val_share_no_scan_and_no_photo(digits):
    scans, labels = digits.load_scans()
    assert scans.shape == (1797, 8, 8)
    assert scans.min() == 0 and scans.max() == 1
    shares = digits.split_scans(labels, seed=0)
    train, val = (np.concatenate(shares[split]) for split in ("train", "val"))
    assert not set(train) & set(val)
    assert sorted([*train, *val]) == list(range(1797))
    assert all((labels[share] == digit).all() for digit, share in enumerate(shares["val"]))
    assert min(len(share) for share in shares["val"]) > 40
    assert not set(digits.PHOTOS["train"]) & set(digits.PHOTOS["val"])
    assert {"digits", *digits.PHOTOS["train"], *digits.PHOTOS["val"]} == set(digits.SOURCES)


@pytest.mark.slow  # importing scikit-learn takes seconds
def test_the_scans_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    expected = load_digits()
    scans, labels = digits.load_scans()
    np.testing.assert_array_equal(scans * 16, expected.images)
    np.testing.assert_array_equal(labels, expected.target)


@pytest.mark.parametrize(("split", "count"), [("train", 24), ("val", 20)])
def test_boxes_masks_and_pictures_agree(folder, split, count, capsys):
    coco = COCO(str(folder / "annotations" / f"{split}.json"))
    categories = coco.loadCats(coco.getCatIds())
    assert [(c["id"], c["name"]) for c in categories] == [(i + 1, str(i)) for i in range(10)]
    assert len(coco.imgs) == count
    for image_id, image in coco.imgs.items():
        picture = cv2.imread(str(folder / split / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3) == (160, 160, 3)
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert (len(annotations) == 0) == (image_id % 20 == 0)
        union = np.zeros((160, 160), int)
        for annotation in annotations:
            mask = coco.annToMask(annotation)
            union += mask
            rows, columns = np.nonzero(mask)
            x, y, width, height = annotation["bbox"]
            assert (x, x + width) == (columns.min(), columns.max() + 1)
            assert (y, y + height) == (rows.min(), rows.max() + 1)
            assert annotation["area"] == mask.sum()
            assert max(width, height) <= 70
        assert union.max() <= 1, "masks are the visible parts, so they share no pixel"
    ids = [annotation["id"] for annotation in coco.dataset["annotations"]]
    assert len(set(ids)) == len(ids) > count


def test_the_longer_side_of_a_drawn_digit_is_its_size(digits):
    scans, _ = digits.load_scans()
    for number, (size, degrees) in enumerate([(25, 0), (40.5, -30), (69, 17)] * 4):
        opacity = digits.render_digit(digits.enlarge_scan(scans[50 * number]), size, degrees)
        rows, columns = np.nonzero(opacity >= 0.5)
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        assert abs(longer - size) <= 2
        assert opacity.min() == 0 and 0.9 < opacity.max() <= 1


def test_crowded_digits_stay_visible_and_stand_out(digits, monkeypatch):
    """With solid squares for digits, whole areas and colours are known."""
    monkeypatch.setattr(digits, "render_digit", lambda *_: np.ones((40, 40), np.float32))
    background = np.full((120, 120, 3), 90, np.uint8)
    picture, owners, classes = digits.compose_picture(
        background, [[np.zeros(0)]] * 10, count=60, digit_range=(25, 69),
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert 5 <= len(classes) < 60
    for number in range(len(classes)):
        assert (owners == number).sum() >= 0.7 * 1600
        colours = picture[owners == number]
        assert (colours == colours[0]).all()
    # The first one lies on the background alone.
    luma = picture[owners == 0][0] @ [0.114, 0.587, 0.299]
    assert abs(luma - 90) >= 49
    np.testing.assert_array_equal(picture[owners < 0], background[owners < 0])


def test_masks_are_exactly_the_pasted_pixels_with_holes(digits):
    owners = np.full((6, 8), -1, np.int16)
    owners[1:5, 2:6] = 0
    owners[2:4, 3:5] = -1
    owners[4, 4:8] = 1
    first, second = digits.annotate(owners, [7, 0])
    np.testing.assert_array_equal(mask_util.decode(first["segmentation"]), owners == 0)
    assert first["category_id"] == 8 and second["category_id"] == 1
    assert first["bbox"] == [2, 1, 4, 4] and second["bbox"] == [4, 4, 4, 1]
    assert (first["area"], second["area"]) == (10, 4)
    json.dumps([first, second])


def test_made_again_does_nothing(digits, parameters, folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert digits.make_digits(folder, parameters) is False
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_other_parameters_need_force(digits, tmp_path):
    output = tmp_path / "digits"
    digits.make_digits(output, digits.DigitsParameters(num_train=2, num_val=1))
    more = digits.DigitsParameters(num_train=3, num_val=1)
    with pytest.raises(DatasetError, match=r"'num_train': 2.*'num_train': 3.*--force"):
        digits.make_digits(output, more)
    assert len(list((output / "train").iterdir())) == 2
    assert digits.make_digits(output, more, force=True)
    assert len(list((output / "train").iterdir())) == 3
    (output / "val" / "000001.jpg").unlink()
    with pytest.raises(DatasetError, match=r"lacks files of val.*--force"):
        digits.make_digits(output, more)
    assert list(tmp_path.iterdir()) == [output], "no temporary folder may stay"


def test_a_folder_of_something_else_is_never_replaced(digits, parameters, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not a digits data set"):
        digits.make_digits(tmp_path, parameters, force=True)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_failed_write_leaves_nothing(digits, parameters, tmp_path, monkeypatch):
    monkeypatch.setattr(digits.cv2, "imwrite", lambda *_: False)
    with pytest.raises(UserError, match="disk full"):
        digits.make_digits(tmp_path / "digits", parameters)
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_first(digits, tmp_path, monkeypatch):
    output, write = tmp_path / "digits", digits._write
    parameters = digits.DigitsParameters(num_train=2, num_val=1)

    def write_beside_another(folder, parameters):
        write(folder, parameters)
        monkeypatch.setattr(digits, "_write", write)
        digits.make_digits(output, parameters)

    monkeypatch.setattr(digits, "_write", write_beside_another)
    assert digits.make_digits(output, parameters) is False
    assert list(tmp_path.iterdir()) == [output]


def test_command_line(digits, tmp_path, capsys):
    output = tmp_path / "digits"
    arguments = ["--output", str(output), "--num-train", "2", "--num-val", "1"]
    arguments += ["--image-size", "96", "128", "--min-digit", "20", "--max-digit", "30"]
    assert digits.main(arguments) == 0
    assert digits.main(arguments) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert cv2.imread(str(output / "val" / "000001.jpg")).shape == (96, 128, 3)
    info = json.loads((output / "info.json").read_text())
    assert info["parameters"]["image_size"] == [96, 128]
    assert "CC0" in info["sources"]["coffee.png"]


@pytest.mark.parametrize(
    "wrong", [{"num_train": 0}, {"seed": -1}, {"image_size": (31, 99)}, {"max_digit": 145}]
)
def test_impossible_parameters_are_refused(digits, wrong):
    with pytest.raises(UserError, match=str(next(iter(wrong)))):
        digits.DigitsParameters(**wrong)


def test_sizes_scale_with_the_picture(digits):
    parameters = digits.DigitsParameters(image_size=(320, 480))
    assert (parameters.min_digit, parameters.max_digit) == (50, 138)


def test_missing_package_names_the_extra(digits):
    with pytest.raises(DatasetError, match=r"\[digits\]"):
        digits._package_file("no_such_package", "data.csv")
