"""Make the digits data set: real handwritten digits pasted onto real photos, on this machine.

It needs no network: the 1,797 scans come with scikit-learn, the photos with scikit-image. The
result is a COCO data set with ten classes, boxes and masks, small enough to train on in minutes:

    datasets/digits/
        annotations/train.json  annotations/val.json
        train/000001.jpg …      val/000001.jpg …
        info.json               parameters, sources and licences

Train and val share no scan and no photo. Every picture is a function of (parameters, split,
number), so the same command makes the same data, and a larger set begins with the smaller one.
"""

from __future__ import annotations

import argparse
import colorsys
import gzip
import importlib.util
import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolov7.utils.cli import run_command
from yolov7.utils.errors import DatasetError, UserError

VERSION = 1  # of the recipe: raise it when the pictures change
SPLITS = ("train", "val")
PHOTOS = {"train": ("astronaut.png", "coffee.png"), "val": ("chelsea.png", "rocket.jpg")}
CLASS_NAMES = tuple("0123456789")

TRAIN_SHARE_OF_SCANS = 0.75
EMPTY_EVERY = 20  # pictures number 20, 40, … show a photo without a digit
MOST_DIGITS = 6
MAX_ROTATION = 30.0  # degrees; more would turn a 6 into a 9
MIN_VISIBLE = 0.7  # of every digit's pixels, after cropping by the border and occlusion
MAX_OUTSIDE = 0.12  # of a digit's box, where it touches the border
MIN_CONTRAST = 50.0  # grey levels that 90 % of the pixels behind a digit differ from its colour
PLACEMENT_TRIES = 12
COLOUR_TRIES = 8
FIELD_SCALE = 8  # scans are upsampled once, this many times
INK_LEVEL = 0.42  # of a scan's full ink: where a stroke ends
INK_SOFTNESS = 0.2  # ink levels over which a stroke fades out, to both sides
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]

SOURCES = [
    {
        "name": "handwritten digits",
        "license": "CC BY 4.0 (as bundled in scikit-learn: BSD-3-Clause)",
        "attribution": "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository, 1998; the copy bundled in scikit-learn",
    },
    {
        "name": "astronaut.png",
        "license": "public domain",
        "attribution": "NASA, portrait of Eileen Collins; the copy bundled in scikit-image",
    },
    {
        "name": "coffee.png",
        "license": "CC0",
        "attribution": "Rachel Michetti, courtesy of Pikolo Espresso Bar; bundled in scikit-image",
    },
    {
        "name": "chelsea.png",
        "license": "CC0",
        "attribution": "Stefan van der Walt; bundled in scikit-image",
    },
    {
        "name": "rocket.jpg",
        "license": "public domain",
        "attribution": "SpaceX, launch of DSCOVR; the copy bundled in scikit-image",
    },
]


@dataclass(frozen=True)
class DigitsParameters:
    """Everything the pictures depend on.

    Attributes:
        num_train, num_val: number of pictures of each split.
        image_size: (height, width) of every picture, in pixels.
        seed: any non-negative integer.
        min_digit, max_digit: range of the longer side of a whole digit's box, in pixels.
    """

    num_train: int
    num_val: int
    image_size: tuple[int, int]
    seed: int
    min_digit: int
    max_digit: int


@dataclass(frozen=True)
class Placement:
    """A digit that found its place: the visible part decides its annotation.

    Attributes:
        digit: its class, 0 to 9.
        area: number of pixels of the whole digit, before cropping and occlusion.
    """

    digit: int
    area: int


def make_parameters(
    *,
    num_train: int = 800,
    num_val: int = 200,
    image_size: tuple[int, int] = (160, 160),
    seed: int = 0,
    min_digit: int | None = None,
    max_digit: int | None = None,
) -> DigitsParameters:
    """Fill in the defaults and check the values.

    Args:
        min_digit, max_digit: None scales 25 and 69 pixels, made for pictures of 160, with the
            shorter side of the picture.

    Raises:
        UserError: a value that makes no sense, by name.
    """
    height, width = (int(side) for side in image_size)
    shorter = min(height, width)
    smallest = round(25 / 160 * shorter) if min_digit is None else min_digit
    largest = max(smallest, round(69 / 160 * shorter)) if max_digit is None else max_digit
    if num_train < 1 or num_val < 1:
        raise UserError(f"num_train and num_val must be at least 1, got {num_train} and {num_val}.")
    if shorter < 32:
        raise UserError(f"image_size must be at least 32 by 32 pixels, got {height} by {width}.")
    if seed < 0:
        raise UserError(f"seed must not be negative, got {seed}.")
    if not 5 <= smallest <= largest <= 0.9 * shorter:
        raise UserError(
            f"min_digit and max_digit must satisfy 5 <= min_digit <= max_digit <= "
            f"{int(0.9 * shorter)} (90 % of the shorter side), got {smallest} and {largest}."
        )
    return DigitsParameters(num_train, num_val, (height, width), seed, smallest, largest)


def load_scans() -> tuple[np.ndarray, np.ndarray]:
    """Read scikit-learn's bundled scans.

    Read from the package's file: importing scikit-learn takes longer than making the data set.

    Returns:
        Ink (1797, 8, 8) float32 in [0, 1], and labels (1797,) int64 in [0, 10).
    """
    path = _package_file("sklearn", "datasets/data/digits.csv.gz")
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",")
    ink = (table[:, :64] / 16).reshape(-1, 8, 8).astype(np.float32)
    return ink, table[:, 64].astype(np.int64)


def load_photo(name: str) -> np.ndarray:
    """Read one of scikit-image's bundled photos: (H, W, 3) uint8, BGR."""
    path = _package_file("skimage", f"data/{name}")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f"Cannot read {path}. Expected a photo; reinstall scikit-image.")
    return image


def split_scans(labels: np.ndarray, seed: int) -> dict[str, list[np.ndarray]]:
    """Share the scans out, class by class, so that train and val have none in common.

    Args:
        labels: (N,) in [0, 10).

    Returns:
        For each split, ten arrays of indices: the scans of each digit.
    """
    rng = np.random.default_rng([seed, len(SPLITS)])
    shares: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for digit in range(len(CLASS_NAMES)):
        of_class = rng.permutation(np.flatnonzero(labels == digit))
        first = round(TRAIN_SHARE_OF_SCANS * len(of_class))
        shares["train"].append(of_class[:first])
        shares["val"].append(of_class[first:])
    return shares


def crop_photo(photo: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Cut a random window of the picture's shape from `photo`, mirror it or not, tint it a little.

    Args:
        photo: (H, W, 3) uint8.
        size: (height, width) of the result.
    """
    height, width = size
    largest = min(photo.shape[0] / height, photo.shape[1] / width)
    scale = largest * rng.uniform(0.4, 1.0)
    crop_height, crop_width = max(1, int(height * scale)), max(1, int(width * scale))
    top = rng.integers(photo.shape[0] - crop_height + 1)
    left = rng.integers(photo.shape[1] - crop_width + 1)
    crop = photo[top : top + crop_height, left : left + crop_width]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    crop = cv2.resize(np.ascontiguousarray(crop), (width, height), interpolation=interpolation)
    gains = rng.uniform(0.7, 1.15) * rng.uniform(0.9, 1.1, 3)
    return np.clip(crop * gains, 0, 255).astype(np.uint8)


def render_digit(scan: np.ndarray, size: float, degrees: float) -> np.ndarray:
    """Draw a scan, smoothly enlarged and rotated, as opacity.

    Args:
        scan: (8, 8) ink in [0, 1].
        size: the longer side of the drawn digit's box, in pixels.
        degrees: counter-clockwise rotation.

    Returns:
        (h, w) float32 opacity in [0, 1] with a soft edge; the digit fills the patch up to a
        margin of about two pixels.
    """
    padded = np.pad(scan, 1)
    field = cv2.resize(padded, None, fx=FIELD_SCALE, fy=FIELD_SCALE, interpolation=cv2.INTER_CUBIC)
    rows, columns = np.nonzero(field >= INK_LEVEL)
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = turn @ np.stack([columns, rows]).astype(np.float64)
    low, extent = points.min(axis=1), np.ptp(points, axis=1) + 1
    scale = size / extent.max()
    margin = 2
    patch_width, patch_height = (int(side) for side in np.ceil(extent * scale) + 2 * margin)
    offset = (0.5 - low) * scale + margin - 0.5
    matrix = np.column_stack([turn * scale, offset])
    field = cv2.warpAffine(field, matrix, (patch_width, patch_height), flags=cv2.INTER_LINEAR)
    soft = np.clip((field - INK_LEVEL) / (2 * INK_SOFTNESS) + 0.5, 0, 1)
    return soft * soft * (3 - 2 * soft)


def compose_picture(
    background: np.ndarray,
    scans: np.ndarray,
    scans_of_digit: Sequence[np.ndarray],
    *,
    count: int,
    digit_range: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, list[Placement]]:
    """Paste up to `count` random digits onto `background`.

    A digit that finds no place where it contrasts with what is behind it, and hides no other one
    too much, is left out.

    Args:
        background: (H, W, 3) uint8, BGR.
        scans: (N, 8, 8) ink; `scans_of_digit`: the indices that may be used, for each class.
        count: how many digits to try.
        digit_range: (smallest, largest) longer side, in pixels.

    Returns:
        The picture; (H, W) int16 owners: for each pixel the number of the digit it shows, or −1;
        and the digits in the order of those numbers.
    """
    picture = background.astype(np.float32)
    owners = np.full(background.shape[:2], -1, np.int16)
    placements: list[Placement] = []
    for _ in range(count):
        digit = int(rng.integers(len(CLASS_NAMES)))
        scan = scans[rng.choice(scans_of_digit[digit])]
        size = math.exp(rng.uniform(*np.log(digit_range)))
        patch = render_digit(scan, size, rng.uniform(-MAX_ROTATION, MAX_ROTATION))
        area = int((patch >= 0.5).sum())
        for _ in range(PLACEMENT_TRIES):
            window, opacity = _random_window(patch, owners.shape, rng)
            ink = opacity >= 0.5
            if ink.sum() < MIN_VISIBLE * area or _hides_too_much(owners, window, ink, placements):
                continue
            colour = _contrasting_colour(picture[window][opacity > 0.1], rng)
            if colour is not None:
                picture[window] += opacity[..., None] * (colour - picture[window])
                owners[window][ink] = len(placements)
                placements.append(Placement(digit, area))
                break
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), owners, placements


def annotate(owners: np.ndarray, placements: Sequence[Placement]) -> list[dict[str, Any]]:
    """Describe the visible part of every digit in COCO's terms.

    Masks are uncompressed run lengths: they keep holes and give back exactly the pasted pixels,
    which polygons do not.

    Args:
        owners: (H, W) as `compose_picture` returns it.

    Returns:
        Annotations without `id` and `image_id`.
    """
    annotations = []
    for number, placement in enumerate(placements):
        mask = owners == number
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        left, top = int(columns[0]), int(rows[0])
        annotations.append(
            {
                "category_id": placement.digit + 1,
                "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
            }
        )
    return annotations


def run_lengths(mask: np.ndarray) -> list[int]:
    """Encode an (H, W) bool mask as COCO's run lengths: down the columns, zeros first."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs


def make_digits(
    output: str | os.PathLike[str], parameters: DigitsParameters, *, force: bool = False
) -> bool:
    """Write the data set, or find it already there.

    Everything is written beside `output` and renamed at the end: a folder of that name is always
    complete.

    Args:
        output: the data set's folder.
        force: replace a digits data set made with other parameters.

    Returns:
        True if it was written; False if it was there with these parameters.

    Raises:
        DatasetError: `output` holds something else.
    """
    output = Path(output)
    if _is_made(output, parameters, force=force):
        return False
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        folder.chmod(0o755)
    except OSError as error:
        raise UserError(
            f"Cannot write {output}: {error.strerror}. Choose a folder you may write to."
        ) from error
    try:
        _write(folder, parameters)
        if output.exists() and force:
            shutil.rmtree(output)
        try:
            folder.rename(output)
        except OSError:
            # Another process may have finished the same data set in the meantime.
            return not _is_made(output, parameters, force=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _write(folder: Path, parameters: DigitsParameters) -> None:
    scans, labels = load_scans()
    shares = split_scans(labels, parameters.seed)
    (folder / "annotations").mkdir()
    for split, count in zip(SPLITS, (parameters.num_train, parameters.num_val), strict=True):
        (folder / split).mkdir()
        photos = [load_photo(name) for name in PHOTOS[split]]
        images, annotations = [], []
        for number in range(1, count + 1):
            rng = np.random.default_rng([parameters.seed, SPLITS.index(split), number])
            picture, owners, placements = compose_picture(
                crop_photo(photos[rng.integers(len(photos))], parameters.image_size, rng),
                scans,
                shares[split],
                count=0 if number % EMPTY_EVERY == 0 else int(rng.integers(1, MOST_DIGITS + 1)),
                digit_range=(parameters.min_digit, parameters.max_digit),
                rng=rng,
            )
            name = f"{number:06d}.jpg"
            if not cv2.imwrite(str(folder / split / name), picture, JPEG):
                raise UserError(f"Cannot write {folder / split / name}. Is the disk full?")
            height, width = parameters.image_size
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            for annotation in annotate(owners, placements):
                place = {"id": len(annotations) + 1, "image_id": number}
                annotations.append(place | annotation)
        content = {
            "info": {"description": f"handwritten digits on photos, {split}", "version": VERSION},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASS_NAMES)],
        }
        _write_json(folder / "annotations" / f"{split}.json", content)
    info = {"version": VERSION, "parameters": asdict(parameters), "sources": SOURCES}
    _write_json(folder / "info.json", info, indent=2)


def _write_json(path: Path, content: dict[str, Any], indent: int | None = None) -> None:
    path.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")


def _is_made(output: Path, parameters: DigitsParameters, *, force: bool) -> bool:
    """True if the data set is there; an error if something else is there and may not be replaced."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    try:
        info = json.loads((output / "info.json").read_text(encoding="utf-8"))
        found = {"version": info["version"], **info["parameters"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{output} exists and is not a digits data set (no valid info.json in it). "
            "Choose another --output, or remove it yourself."
        ) from error
    wanted = json.loads(json.dumps({"version": VERSION, **asdict(parameters)}))
    complete = all(
        (output / "annotations" / f"{split}.json").is_file()
        and len(list((output / split).glob("*.jpg"))) == wanted[f"num_{split}"]
        for split in SPLITS
    )
    if force:
        return False
    if found != wanted:
        differences = ", ".join(
            f"{key} {found.get(key)} (asked for {value})"
            for key, value in wanted.items()
            if found.get(key) != value
        )
        raise DatasetError(
            f"{output} was made with other parameters: {differences}. "
            "Choose another --output, or replace it with --force."
        )
    if not complete:
        raise DatasetError(f"{output} lacks some of its files. Make it anew with --force.")
    return True


def _random_window(
    patch: np.ndarray, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Place `patch` at random: the window of the picture it covers, and its part inside."""
    slices, inner = [], []
    for length, side in zip(patch.shape, shape, strict=True):
        outside = int(MAX_OUTSIDE * length)
        start = int(rng.integers(-outside, side - length + outside + 1))
        slices.append(slice(max(start, 0), min(start + length, side)))
        inner.append(slice(max(-start, 0), min(length, side - start)))
    return (slices[0], slices[1]), patch[inner[0], inner[1]]


def _hides_too_much(
    owners: np.ndarray,
    window: tuple[slice, slice],
    ink: np.ndarray,
    placements: Sequence[Placement],
) -> bool:
    hidden = owners[window][ink]
    for number in np.unique(hidden[hidden >= 0]):
        left = (owners == number).sum() - (hidden == number).sum()
        if left < MIN_VISIBLE * placements[number].area:
            return True
    return False


def _contrasting_colour(behind: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Draw a colour that stands out from the pixels (N, 3) behind it; None if none was found."""
    weights = np.array([0.114, 0.587, 0.299], np.float32)  # luma of BGR
    luma = behind @ weights
    for _ in range(COLOUR_TRIES):
        hue, saturation, value = rng.uniform([0, 0.2, 0.1], [1, 1, 1])
        colour = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value)[::-1], np.float32)
        if np.quantile(np.abs(luma - colour @ weights), 0.1) >= MIN_CONTRAST:
            return colour
    return None


def _package_file(package: str, path: str) -> Path:
    """Find a data file of an installed package without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        if (Path(folder) / path).is_file():
            return Path(folder) / path
    raise DatasetError(
        f"The digits data set needs {path} of the package {package}, which is not there. "
        "Install the extra: pip install 'yolov7[digits]' (or scikit-learn and scikit-image)."
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line (see `--help`)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="datasets/digits", help="folder (%(default)s)")
    parser.add_argument("--num-train", type=int, default=800, help="pictures (%(default)s)")
    parser.add_argument("--num-val", type=int, default=200, help="pictures (%(default)s)")
    parser.add_argument(
        "--image-size", type=int, nargs="+", default=[160], metavar="SIDE",
        help="one side for square pictures, or height and width (160)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="other pictures (%(default)s)")
    parser.add_argument(
        "--min-digit", type=int, metavar="PIXELS",
        help="smallest longer side of a digit (25 for pictures of 160, in proportion for others)",
    )  # fmt: skip
    parser.add_argument(
        "--max-digit", type=int, metavar="PIXELS",
        help="largest longer side of a digit (69 for pictures of 160, in proportion for others)",
    )  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="replace a digits data set with other parameters"
    )
    parser.add_argument("--debug", action="store_true", help="show stack traces of user errors")
    options = parser.parse_args(arguments)
    if len(options.image_size) > 2:
        parser.error("--image-size takes one side, or height and width")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the data set as the command line says."""
    options = parse_arguments(arguments)
    parameters = make_parameters(
        num_train=options.num_train,
        num_val=options.num_val,
        image_size=(options.image_size[0], options.image_size[-1]),
        seed=options.seed,
        min_digit=options.min_digit,
        max_digit=options.max_digit,
    )
    written = make_digits(options.output, parameters, force=options.force)
    count = f"{parameters.num_train} train and {parameters.num_val} val pictures"
    print(f"{options.output}: {count} {'written' if written else 'already there, nothing to do'}")
    return 0


if __name__ == "__main__":
    run_command(main)
