"""Our evaluator against pycocotools on made-up results as large as COCO's validation set.

python benchmarks/bm_coco_evaluation.py                          # 5,000 images, a few minutes
python benchmarks/bm_coco_evaluation.py --images 200 --repeats 1

Three comparisons, each alternating and by medians: the whole way of an evaluation (ours from the
model's Instances, its results file written to disk; pycocotools' from a list of results, which is
where it begins), the matching and accumulation alone, and the same for masks on a tenth of the
images. In each, all twelve numbers must be equal to the last bit, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from harness import compare, write_result
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from synthetic_coco import HEIGHT, WIDTH, synthetic_coco

from yolov7.d2 import Boxes, Instances, MetadataCatalog
from yolov7.evaluation import COCOEvaluator, HotcocoBackend, PycocotoolsBackend, summarize
from yolov7.evaluation.detections import Detections
from yolov7.evaluation.ground_truth import GroundTruth

NAME = "benchmark_coco_evaluation"
LIMITS = (1, 10, 100)


def main() -> int:
    """Run the comparisons and write their JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="timed rounds (%(default)s)")
    args = parser.parse_args()
    logging.getLogger("yolov7").addHandler(logging.NullHandler())
    logging.getLogger("yolov7").propagate = False
    sizes = {
        "num_images": args.images,
        "num_objects": args.images * 36 // 5,
        "num_detections": args.images * 100,
        "num_classes": 80,
    }
    result = {
        "sizes": sizes,
        "whole_evaluation": whole_evaluation(sizes, args.repeats),
        "matching": matching(sizes, args.repeats, iou_type="bbox"),
        "matching_masks": matching(
            {name: max(value // 10, 20) for name, value in sizes.items()} | {"num_classes": 80},
            args.repeats,
            iou_type="segm",
        ),
    }
    path = write_result("coco_evaluation", result)
    print(json.dumps(result, indent=2))
    print(f"written to {path}")
    return 0


def whole_evaluation(sizes: dict[str, int], repeats: int) -> dict:
    """From what a model gives to the twelve numbers."""
    coco, rows = synthetic_coco(**sizes)
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.json"
        truth.write_text(json.dumps(coco))
        ids = [category["id"] for category in coco["categories"]]
        MetadataCatalog.get(NAME).set(
            json_file=str(truth),
            thing_classes=[category["name"] for category in coco["categories"]],
            thing_dataset_id_to_contiguous_id={c: place for place, c in enumerate(ids)},
        )
        pairs = list(model_outputs(coco, rows, ids))
        numbers: dict[str, list[float]] = {}

        def ours() -> None:
            evaluator = COCOEvaluator(NAME, output_dir=folder)
            for sample, output in pairs:
                evaluator.process([sample], [output])
            metrics = evaluator.evaluate()["bbox"]
            numbers["ours"] = list(metrics.values())[:12]

        # Boxes of a model are float32: pycocotools gets the very results that ours wrote.
        ours()
        written = json.loads((Path(folder) / "coco_instances_results.json").read_text())

        def theirs() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                reference = COCO(str(truth))
                found = reference.loadRes([dict(row) for row in written])
                evaluation = COCOeval(reference, found, "bbox")
                evaluation.evaluate()
                evaluation.accumulate()
                evaluation.summarize()
            numbers["pycocotools"] = [v * 100 if v >= 0 else np.nan for v in evaluation.stats]

        times = compare({"pycocotools": theirs, "ours": ours}, repeats)
    return {**times, **equality(numbers["ours"], numbers["pycocotools"])}


def matching(sizes: dict[str, int], repeats: int, *, iou_type: str) -> dict:
    """The two backends on columns that are ready."""
    with_masks = iou_type == "segm"
    coco, rows = synthetic_coco(**sizes, with_masks=with_masks)
    ids = [category["id"] for category in coco["categories"]]
    truth = GroundTruth.from_coco(
        coco, category_ids=ids, with_masks=with_masks, source="synthetic images"
    )
    place = truth.place_of_image
    found = Detections(
        image_index=np.array([place[row["image_id"]] for row in rows]),
        category_index=np.searchsorted(ids, [row["category_id"] for row in rows]),
        boxes_xywh=np.array([row["bbox"] for row in rows]),
        scores=np.array([row["score"] for row in rows]),
        masks=[rasterise(row["polygon"]) for row in rows] if with_masks else None,
    )
    numbers: dict[str, list[float]] = {}

    def run(backend: HotcocoBackend | PycocotoolsBackend) -> None:
        curves = backend.accumulate(truth, found, iou_type=iou_type, max_detections=LIMITS)
        numbers[backend.name] = summarize(curves).tolist()

    times = compare(
        {
            "pycocotools": lambda: run(PycocotoolsBackend()),
            "hotcoco": lambda: run(HotcocoBackend()),
        },
        repeats,
    )
    return {**times, **equality(numbers["hotcoco"], numbers["pycocotools"])}


def equality(ours: list[float], reference: list[float]) -> dict:
    """Give the twelve numbers; anything but equal to the last bit ends the run."""
    np.testing.assert_array_equal(ours, reference)
    return {"twelve_numbers": ours, "equal_to_the_last_bit": True}


def model_outputs(
    coco: dict, rows: list[dict], category_ids: list[int]
) -> Iterator[tuple[dict, dict]]:
    """Samples and Instances as a model gives them, for every image."""
    by_image: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
    for row in rows:
        by_image[row["image_id"]].append(row)
    index = {category_id: place for place, category_id in enumerate(category_ids)}
    for image_id, found in by_image.items():
        boxes = torch.tensor([row["bbox"] for row in found]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        instances = Instances((HEIGHT, WIDTH))
        instances.pred_boxes = Boxes(boxes)
        instances.scores = torch.tensor([row["score"] for row in found])
        instances.pred_classes = torch.tensor(
            [index[row["category_id"]] for row in found], dtype=torch.int64
        )
        yield {"image_id": image_id}, {"instances": instances}


def rasterise(polygon: list[float]) -> dict:
    """A polygon as compressed RLE."""
    rle = mask_tools.frPyObjects([polygon], HEIGHT, WIDTH)[0]
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


if __name__ == "__main__":
    raise SystemExit(main())
