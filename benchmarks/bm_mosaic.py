"""One warp a tile against the mosaic written literally: paste on a double canvas, then warp.

python benchmarks/bm_mosaic.py                       # 640x640 from JPEGs of 640x480, one thread
python benchmarks/bm_mosaic.py --draws 8 --repeats 3

Also says how far both are from the ideal picture (every output pixel the mean of what it covers),
and how many finished samples a second the mapper makes, decoding included.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from harness import compare, write_result

from yolov7.config import get_config
from yolov7.d2 import BoxMode
from yolov7.data.augmentation import (
    AffineDistribution,
    FourTileLayout,
    Mosaic,
    Placement,
    WarpTransform,
    matrix_about_origin,
)
from yolov7.data.augmentation.warp import scaling, translation
from yolov7.data.mappers import build_train_mapper

FILL = 114
SUPERSAMPLING = 8
BANDS = ((0.1, 0.5), (0.5, 1.0), (1.0, 2.0))


def two_step_mosaic(
    images: Sequence[np.ndarray],
    placements: Sequence[Placement],
    canvas_size: tuple[int, int],
    matrix: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Resize each picture, paste it on the canvas, warp the canvas: two interpolations a pixel.

    Args:
        placements: where the resized pictures go.
        canvas_size, size: (height, width) of the canvas and of the result.
        matrix: (3, 3) from the canvas to the result, continuous coordinates.
    """
    height, width = canvas_size
    canvas = np.full((height, width, 3), FILL, dtype=np.uint8)
    for image, place in zip(images, placements, strict=True):
        tile = cv2.resize(image, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
        y0, y1 = max(place.top, 0), min(place.top + place.height, height)
        x0, x1 = max(place.left, 0), min(place.left + place.width, width)
        if y0 < y1 and x0 < x1:
            canvas[y0:y1, x0:x1] = tile[
                y0 - place.top : y1 - place.top, x0 - place.left : x1 - place.left
            ]
    by_centers = (translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5))[:2]
    return cv2.warpAffine(canvas, by_centers, size[::-1], borderValue=(FILL, FILL, FILL))


def ideal_mosaic(
    images: Sequence[np.ndarray],
    placements: Sequence[Placement],
    canvas_size: tuple[int, int],
    matrix: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Like `two_step_mosaic`, at eight times the resolution throughout, then averaged."""
    fine = scaling(SUPERSAMPLING, SUPERSAMPLING)
    # The canvas at the pictures' own resolution: nothing is thrown away before the average.
    detail = max(
        image.shape[1] / place.width for image, place in zip(images, placements, strict=True)
    )
    detailed = [
        Placement(*(round(v * detail) for v in (p.left, p.top, p.height, p.width)))
        for p in placements
    ]
    result = two_step_mosaic(
        images,
        detailed,
        tuple(round(side * detail) for side in canvas_size),
        fine @ matrix @ scaling(1 / detail, 1 / detail),
        (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING),
    )
    return cv2.resize(result, size[::-1], interpolation=cv2.INTER_AREA)


def synthetic_photo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 with structure at all scales; its JPEG is as large as a photo's."""
    photo = np.zeros((height, width, 3), dtype=np.float32)
    for level in range(8):
        shape = (max(height >> level, 2), max(width >> level, 2), 3)
        noise = rng.standard_normal(shape, dtype=np.float32) * 1.4**level
        photo += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + photo * (50 / photo.std()), 0, 255).astype(np.uint8)


def time_geometry(images: Sequence[np.ndarray], side: int, draws: int, repeats: int) -> Any:
    """Both ways on the same draws of YOLOX's distribution, pictures already decoded."""
    size, layout = (side, side), FourTileLayout()
    distribution = AffineDistribution(degrees=10, translate=0.1, scale=(0.1, 2.0), shear=2)
    sizes = [image.shape[:2] for image in images[:4]]

    def literal() -> None:
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            placements = layout.place(sizes, size, rng)
            canvas_size = layout.canvas_size(size)
            matrix = matrix_about_origin(distribution.draw(rng), source_size=canvas_size, size=size)
            two_step_mosaic(images[:4], placements, canvas_size, matrix, size)

    def composed() -> None:
        mosaic = Mosaic(layout=layout, distribution=distribution, fill=FILL)
        for seed in range(draws):
            transforms = mosaic.get_transforms(sizes, size, np.random.default_rng(seed))
            seen = [i for i, transform in enumerate(transforms) if transform.is_visible()]
            mosaic.compose([images[i] for i in seen], [transforms[i] for i in seen], size)

    return compare({"paste, then warp": literal, "one warp a tile": composed}, repeats)


def measure_quality(images: Sequence[np.ndarray], side: int, draws: int) -> list[dict[str, Any]]:
    """Mean absolute distance from the ideal picture, by the scale of the mosaic's warp.

    Counted are pixels more than two from any tile's rim: a rim is blended with its surroundings by
    the two steps, and sharp in one warp.
    """
    size, layout = (side, side), FourTileLayout()
    sizes = [image.shape[:2] for image in images[:4]]
    rows = []
    for band in BANDS:
        distribution = AffineDistribution(degrees=10, translate=0.1, scale=band, shear=2)
        mosaic = Mosaic(layout=layout, distribution=distribution, fill=FILL)
        errors: dict[str, list[float]] = {"two_steps": [], "one_warp": []}
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            placements = layout.place(sizes, size, rng)
            canvas_size = layout.canvas_size(size)
            matrix = matrix_about_origin(distribution.draw(rng), source_size=canvas_size, size=size)
            case = (images[:4], placements, canvas_size, matrix, size)
            ideal = ideal_mosaic(*case).astype(np.int16)
            transforms = mosaic.get_transforms(sizes, size, np.random.default_rng(seed))
            inside = inside_of_tiles(sizes, transforms, size)
            if not inside.any():
                continue
            pictures = {
                "two_steps": two_step_mosaic(*case),
                "one_warp": mosaic.compose(images[:4], transforms, size),
            }
            for name, picture in pictures.items():
                errors[name].append(float(np.abs(picture - ideal)[inside].mean()))
        rows.append({"scale": band, **{name: float(np.mean(e)) for name, e in errors.items()}})
    return rows


def inside_of_tiles(
    sizes: Sequence[tuple[int, int]], transforms: Sequence[WarpTransform], size: tuple[int, int]
) -> np.ndarray:
    """(H, W) bool: pixels in a tile and more than two from its rim."""
    inside = np.zeros(size, dtype=bool)
    for tile_size, transform in zip(sizes, transforms, strict=True):
        drawn = transform.apply_segmentation(np.ones(tile_size, dtype=np.uint8))
        drawn = cv2.copyMakeBorder(drawn, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
        inside |= cv2.erode(drawn, np.ones((5, 5)))[2:-2, 2:-2] > 0
    return inside


def time_samples(images: Sequence[np.ndarray], side: int, samples: int) -> dict[str, float]:
    """Finished samples a second of the mapper (Mosaic, MixUp, HSV, flip), and decoding alone."""
    cfg = get_config()
    cfg.INPUT.INPUT_SIZE = [side, side]
    cfg.INPUT.MOSAIC_AND_MIXUP.ENABLED = True
    cfg.INPUT.HSV_SHIFT.ENABLED = True
    with tempfile.TemporaryDirectory() as folder:
        records = []
        for index, image in enumerate(images):
            file = Path(folder) / f"{index}.jpg"
            cv2.imwrite(str(file), image)
            height, width = image.shape[:2]
            annotation = {"bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": 0}
            records.append(
                {
                    "file_name": str(file), "image_id": index, "height": height, "width": width,
                    "annotations": [
                        {**annotation, "bbox": [8 * i, 8 * i, 8 * i + 64, 8 * i + 64]}
                        for i in range(7)
                    ],
                }
            )  # fmt: skip
        mapper = build_train_mapper(cfg, records, seed=0)
        for seed in range(3):
            mapper(records[0], np.random.default_rng(seed))
        start = time.perf_counter()
        pictures = 0
        for seed in range(samples):
            sample = mapper(records[seed % len(records)], np.random.default_rng(seed))
            pictures += len(sample["sources"])
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        for record in records:
            cv2.imread(record["file_name"])
        decoding = (time.perf_counter() - start) / len(records)
    return {
        "samples_per_second": samples / seconds,
        "pictures_a_sample": pictures / samples,
        "decoding_s_a_picture": decoding,
    }


def main() -> None:
    """Run all three parts and write `results/mosaic.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=640, help="side of the mosaic in pixels")
    parser.add_argument("--draws", type=int, default=32, help="mosaics in a timed round")
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds of each alternative")
    parser.add_argument("--samples", type=int, default=200, help="samples of the mapper")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--name", default="mosaic", help="name of the file under results/")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)

    rng = np.random.default_rng(0)
    images = [synthetic_photo(rng, 480, 640) for _ in range(16)]
    result = {
        "case": {"side": arguments.side, "draws": arguments.draws, "pictures": [480, 640]},
        "timing": time_geometry(images, arguments.side, arguments.draws, arguments.repeats),
        "distance_from_ideal": measure_quality(images, 320, min(arguments.draws, 12)),
        "mapper": time_samples(images, arguments.side, arguments.samples),
    }
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, row in result["timing"].items():
        milliseconds = row["median_s"] / arguments.draws * 1e3
        print(f"{name:17} {milliseconds:7.2f} ms a mosaic   {row['ratio']:5.2f} times as fast")
    for row in result["distance_from_ideal"]:
        print(
            f"scale {row['scale'][0]:.1f}..{row['scale'][1]:.1f}: mean distance from the ideal "
            f"{row['two_steps']:.2f} in two steps, {row['one_warp']:.2f} in one warp"
        )
    mapper = result["mapper"]
    print(
        f"mapper: {mapper['samples_per_second']:.1f} samples/s on one core from "
        f"{mapper['pictures_a_sample']:.2f} pictures each (decoding one alone: "
        f"{mapper['decoding_s_a_picture'] * 1e3:.2f} ms); written to {file}"
    )


if __name__ == "__main__":
    main()
