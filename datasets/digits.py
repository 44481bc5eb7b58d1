"""Make the digits data set: real handwritten digits pasted onto real photos, on this machine.

It needs no network: the 1,797 scans come with scikit-learn, the photos with scikit-image. The
result is a COCO data set with ten classes, boxes and masks, to be trained on in minutes:

    datasets/digits/
        annotations/train.json  annotations/val.json
        train/000001.jpg …      val/000001.jpg …
        info.json               parameters, sources and licences

Train and val share no scan and no photo. A picture depends on the seed, the sizes, its split and
its number only: the same command makes the same data, and a larger set begins with the smaller.
"""

from __future__ import annotations

import argparse
import colorsys
import gzip
import importlib.util
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_util

from yolov7.utils.atomic_folder import atomic_folder
from yolov7.utils.cli import add_debug_argument, run_command
from yolov7.utils.errors import DatasetError, UserError

VERSION = 1  # of the recipe: raise it when the pictures change
PHOTOS = {"train": ("astronaut.png", "coffee.png", "rocket.jpg"), "val": ("chelsea.png",)}
SOURCES = {
    "digits": "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
    "Learning Repository, 1998, CC BY 4.0; the part bundled in scikit-learn",
    "astronaut.png": "NASA, portrait of Eileen Collins, public domain; from scikit-image",
    "coffee.png": "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0; from scikit-image",
    "chelsea.png": "Stefan van der Walt, CC0; from scikit-image",
    "rocket.jpg": "SpaceX, launch of DSCOVR, public domain; from scikit-image",
}

TRAIN_SHARE_OF_SCANS = 0.75
EMPTY_EVERY = 20  # pictures number 20, 40, … show a photo without a digit
MOST_DIGITS = 6
MAX_ROTATION = 30.0  # degrees; more would turn a 6 into a 9
MIN_VISIBLE = 0.7  # of every digit's pixels, after cropping by the border and occlusion
MAX_OUTSIDE = 0.12  # of a digit's height or width, where it touches the border
MIN_CONTRAST = 50  # grey levels by which 90 % of the pixels behind a digit differ from its colour
PLACEMENT_TRIES = 12
COLOUR_TRIES = 8
INK_LEVEL = 0.48  # of a scan's full ink: where a stroke ends
INK_SOFTNESS = 0.2  # ink levels over which a stroke fades out, to both sides
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)


@dataclass(frozen=True, kw_only=True)
class DigitsParameters:
    """Everything the data set depends on; a value that makes no sense is a UserError.

    Attributes:
        image_size: (height, width) of every picture, in pixels.
        seed: any non-negative integer.
        min_digit, max_digit: range of the longer side of a whole digit's box, in pixels; None
            scales 25 and 69, which suit pictures of 160, with the picture's shorter side.
    """

    num_train: int = 800
    num_val: int = 200
    image_size: tuple[int, int] = (160, 160)
    seed: int = 0
    min_digit: int | None = None
    max_digit: int | None = None

    def __post_init__(self) -> None:
        side = min(self.image_size)
        smallest = round(25 * side / 160) if self.min_digit is None else self.min_digit
        largest = max(smallest, 69 * side // 160) if self.max_digit is None else self.max_digit
        object.__setattr__(self, "min_digit", smallest)
        object.__setattr__(self, "max_digit", largest)
        fits = 5 <= smallest <= largest <= 0.9 * side
        if self.num_train < 1 or self.num_val < 1 or self.seed < 0 or side < 32 or not fits:
            raise UserError(
                "Expected num_train >= 1, num_val >= 1, seed >= 0, image sides >= 32 and 5 <= "
                f"min_digit <= max_digit <= 90 % of the shorter side; got {self}."
            )

    def as_json(self) -> dict[str, Any]:
        """What `info.json` records, and a second run compares."""
        return {"version": VERSION, **asdict(self), "image_size": list(self.image_size)}


def load_scans() -> tuple[np.ndarray, np.ndarray]:
    """Read scikit-learn's bundled scans: ink (1797, 8, 8) float32 in [0, 1], labels (1797,) int64.

    From the package's file: importing scikit-learn takes longer than making the data set.
    """
    path = _package_file("sklearn", "datasets/data/digits.csv.gz")
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return (table[:, :64] / 16).reshape(-1, 8, 8), table[:, 64].astype(np.int64)


def load_photo(name: str) -> np.ndarray:
    """Read one of scikit-image's bundled photos: (H, W, 3) uint8, BGR."""
    path = _package_file("skimage", f"data/{name}")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f"Cannot read {path}. Expected a photo; reinstall scikit-image.")
    return image


def split_scans(labels: np.ndarray, seed: int) -> dict[str, list[np.ndarray]]:
    """Share the scans out, class by class: split -> ten arrays of indices into labels (N,)."""
    rng = np.random.default_rng([seed, len(PHOTOS)])
    of_digit = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    firsts = [round(TRAIN_SHARE_OF_SCANS * len(scans)) for scans in of_digit]
    train = [scans[:first] for scans, first in zip(of_digit, firsts, strict=True)]
    return {"train": train, "val": [s[n:] for s, n in zip(of_digit, firsts, strict=True)]}


def crop_photo(photo: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Cut a random window of shape `size` (height, width), mirrored or not and tinted a little."""
    scale = min(photo.shape[0] / size[0], photo.shape[1] / size[1]) * rng.uniform(0.4, 1.0)
    height, width = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    top = rng.integers(photo.shape[0] - height + 1)
    left = rng.integers(photo.shape[1] - width + 1)
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    crop = photo[top : top + height, left : left + width]
    crop = cv2.resize(crop, (size[1], size[0]), interpolation=method)
    if rng.random() < 0.5:
        crop = cv2.flip(crop, 1)
    gains = rng.uniform(0.7, 1.15) * rng.uniform(0.9, 1.1, 3)
    table = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)
    return cv2.LUT(crop, table[:, None])


def enlarge_scan(scan: np.ndarray) -> np.ndarray:
    """Enlarge a scan (8, 8) smoothly, with an empty border: (80, 80) float32 ink."""
    return cv2.resize(np.pad(scan, 1), (80, 80), interpolation=cv2.INTER_CUBIC)


def render_digit(field: np.ndarray, size: float, degrees: float) -> np.ndarray:
    """Draw an enlarged scan, turned counter-clockwise, as opacity.

    Args:
        field: ink, from `enlarge_scan`.
        size: the longer side of the drawn digit's box, in pixels.

    Returns:
        (h, w) float32 in [0, 1], with a soft edge and a margin of about two pixels.
    """
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    rows, columns = np.nonzero(field >= INK_LEVEL)
    points = turn @ np.stack([columns, rows])
    low, extent = points.min(axis=1), np.ptp(points, axis=1) + 1
    scale, margin = size / extent.max(), 2
    width, height = (int(side) for side in np.ceil(extent * scale) + 2 * margin)
    matrix = np.column_stack([turn * scale, (0.5 - low) * scale + margin - 0.5])
    drawn = cv2.warpAffine(field, matrix, (width, height), flags=cv2.INTER_LINEAR)
    soft = np.clip((drawn - INK_LEVEL) / (2 * INK_SOFTNESS) + 0.5, 0, 1)
    return soft * soft * (3 - 2 * soft)


def compose_picture(
    background: np.ndarray,
    fields_of_digit: Sequence[Sequence[np.ndarray]],
    *,
    count: int,
    digit_range: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Paste up to `count` random digits, of `digit_range` pixels, onto `background`.

    A digit is left out when it finds no place where its colour stands out from what is behind it
    and where it hides no other digit too much.

    Args:
        background: (H, W, 3) uint8, BGR.
        fields_of_digit: for each class, the enlarged scans that may be used.

    Returns:
        The picture (H, W, 3) uint8; the owners (H, W) int16: for each pixel the number of the
        digit it shows, or −1; and the class of each digit, in the order of those numbers.
    """
    picture = background.copy()
    owners = np.full(background.shape[:2], -1, np.int16)
    digits: list[int] = []
    whole_areas, visible_areas = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for _ in range(count):
        digit = int(rng.integers(len(fields_of_digit)))
        field = fields_of_digit[digit][rng.integers(len(fields_of_digit[digit]))]
        size = math.exp(rng.uniform(*np.log(digit_range)))
        patch = render_digit(field, size, rng.uniform(-MAX_ROTATION, MAX_ROTATION))
        whole_area = (patch >= 0.5).sum()
        for _ in range(PLACEMENT_TRIES):
            window, opacity = _random_window(patch, owners.shape, rng)
            ink = opacity >= 0.5
            hidden = np.bincount(owners[window][ink] + 1, minlength=len(digits) + 1)[1:]
            too_hidden = visible_areas - hidden < MIN_VISIBLE * whole_areas
            if ink.sum() < MIN_VISIBLE * whole_area or too_hidden.any():
                continue
            behind = picture[window]
            colour = _contrasting_colour(behind[opacity > 0.1], rng)
            if colour is not None:
                behind[:] = np.rint(behind + opacity[..., None] * (colour - behind))
                owners[window][ink] = len(digits)
                digits.append(digit)
                whole_areas = np.append(whole_areas, whole_area)
                visible_areas = np.append(visible_areas - hidden, ink.sum())
                break
    return picture, owners, digits


def annotate(owners: np.ndarray, digits: Sequence[int]) -> list[dict[str, Any]]:
    """Describe the visible part of every digit in COCO's terms, without `id` and `image_id`.

    Masks are run lengths: they keep holes and give back exactly the pasted pixels, which polygons
    do not. Arguments are what `compose_picture` returns.
    """
    annotations = []
    for number, digit in enumerate(digits):
        mask = mask_util.encode(np.asfortranarray(owners == number, np.uint8))
        bbox, area = mask_util.toBbox(mask).tolist(), int(mask_util.area(mask))
        segmentation = {"size": mask["size"], "counts": mask["counts"].decode("ascii")}
        annotations.append({"category_id": digit + 1, "iscrowd": 0, "bbox": bbox, "area": area})
        annotations[-1]["segmentation"] = segmentation
    return annotations


def make_digits(
    output: str | os.PathLike[str], parameters: DigitsParameters, *, force: bool = False
) -> bool:
    """Write the data set, or find it already there.

    A folder of that name is always complete. What else is there raises DatasetError; `force`
    replaces a digits data set that was made with other parameters.

    Returns:
        True if it was written; False if it was there with these parameters.
    """
    output = Path(output)
    if _is_made(output, parameters, force=force):
        return False
    try:
        with atomic_folder(output, replace=force) as folder:
            _write(folder, parameters)
    except UserError:
        # Another process may have made it in the meantime.
        if force or not _is_made(output, parameters, force=False):
            raise
        return False
    return True


def _write(folder: Path, parameters: DigitsParameters) -> None:
    scans, labels = load_scans()
    fields = [enlarge_scan(scan) for scan in scans]
    shares = split_scans(labels, parameters.seed)
    (folder / "annotations").mkdir()
    for index, split in enumerate(PHOTOS):
        (folder / split).mkdir()
        photos = [load_photo(name) for name in PHOTOS[split]]
        fields_of_digit = [[fields[i] for i in share] for share in shares[split]]
        images, annotations = [], []
        for number in range(1, (parameters.num_train, parameters.num_val)[index] + 1):
            rng = np.random.default_rng([parameters.seed, index, number])
            picture, owners, digits = compose_picture(
                crop_photo(photos[rng.integers(len(photos))], parameters.image_size, rng),
                fields_of_digit,
                count=int(rng.integers(1, MOST_DIGITS + 1)) if number % EMPTY_EVERY else 0,
                digit_range=(parameters.min_digit, parameters.max_digit),
                rng=rng,
            )
            name, (height, width) = f"{number:06d}.jpg", parameters.image_size
            if not cv2.imwrite(str(folder / split / name), picture, JPEG):
                raise UserError(f"Cannot write {folder / split / name}. Is the disk full?")
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            for annotation in annotate(owners, digits):
                annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
        content = {
            "info": {"description": f"Handwritten digits on photos: {split}"},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": digit + 1, "name": str(digit)} for digit in range(10)],
        }
        (folder / f"annotations/{split}.json").write_text(json.dumps(content), "utf-8")
    info = {"parameters": parameters.as_json(), "photos": PHOTOS, "sources": SOURCES}
    (folder / "info.json").write_text(json.dumps(info, indent=2) + "\n", "utf-8")


def _is_made(output: Path, parameters: DigitsParameters, *, force: bool) -> bool:
    """True if the data set is there; an error if what is there may not be replaced."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    try:
        found = json.loads((output / "info.json").read_text("utf-8"))["parameters"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{output} exists and is not a digits data set (it has no valid info.json). "
            "Choose another --output, or remove it yourself."
        ) from error
    if force:
        return False
    wanted = parameters.as_json()
    if found != wanted:
        raise DatasetError(
            f"{output} was made with other parameters: {found}; asked for: {wanted}. "
            "Choose another --output, or replace it with --force."
        )
    for split in PHOTOS:
        pictures = len(list(output.glob(f"{split}/*.jpg")))
        if (
            pictures != wanted[f"num_{split}"]
            or not (output / f"annotations/{split}.json").exists()
        ):
            raise DatasetError(f"{output} lacks files of {split}. Make it anew with --force.")
    return True


def _random_window(
    patch: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Place `patch` at random: the window of the picture it covers, and its part inside."""
    outer, inner = [], []
    for length, side in zip(patch.shape, shape, strict=True):
        outside = int(MAX_OUTSIDE * length)
        start = int(rng.integers(-outside, side - length + outside + 1))
        outer.append(slice(max(start, 0), min(start + length, side)))
        inner.append(slice(max(-start, 0), min(length, side - start)))
    return tuple(outer), patch[tuple(inner)]


def _contrasting_colour(behind: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Draw a colour that stands out from the pixels (N, 3) behind it; None if none was found."""
    grey = cv2.cvtColor(behind[None], cv2.COLOR_BGR2GRAY)[0]
    darker = np.concatenate([[0], np.cumsum(np.bincount(grey, minlength=256))])
    for hue, saturation, value in rng.uniform((0, 0.2, 0.1), (1, 1, 1), (COLOUR_TRIES, 3)):
        red, green, blue = (255 * part for part in colorsys.hsv_to_rgb(hue, saturation, value))
        luma = round(0.299 * red + 0.587 * green + 0.114 * blue)
        low, high = max(luma - MIN_CONTRAST, 0), min(luma + MIN_CONTRAST, 256)
        if darker[high] - darker[low] <= 0.1 * len(grey):
            return np.array([blue, green, red], np.float32)
    return None


def _package_file(package: str, path: str) -> Path:
    """Find a data file of an installed package without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or ()
    for file in (Path(folder) / path for folder in folders):
        if file.is_file():
            return file
    raise DatasetError(
        f"The digits data set needs {path} of {package}, which is not there. "
        "Install the extra: pip install '.[digits]' (scikit-learn and scikit-image)."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the data set as the command line says."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    scaled = "for pictures of 160, in proportion for others"
    help_size = "side of square pictures, or height and width, in pixels (160)"
    parser.add_argument("--output", default="datasets/digits", help="folder (%(default)s)")
    parser.add_argument("--num-train", type=int, default=800, help="pictures (%(default)s)")
    parser.add_argument("--num-val", type=int, default=200, help="pictures (%(default)s)")
    parser.add_argument("--image-size", type=int, nargs="+", default=[160], help=help_size)
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures (0)")
    parser.add_argument("--min-digit", type=int, help=f"smallest longer side (25 {scaled})")
    parser.add_argument("--max-digit", type=int, help=f"largest longer side (69 {scaled})")
    parser.add_argument("--force", action="store_true", help="replace one with other parameters")
    add_debug_argument(parser)
    options = vars(parser.parse_args(arguments))
    output, force, _ = (options.pop(name) for name in ("output", "force", "debug"))
    if len(options["image_size"]) > 2:
        parser.error("--image-size takes one side, or height and width")
    options["image_size"] = (options["image_size"][0], options["image_size"][-1])
    written = make_digits(output, DigitsParameters(**options), force=force)
    print(f"{output}: {'written' if written else 'already there, nothing to do'}")
    return 0


if __name__ == "__main__":
    run_command(main)
