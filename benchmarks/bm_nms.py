"""All kinds of suppression against torchvision's, on one image's candidates.

OMP_NUM_THREADS=1 python benchmarks/bm_nms.py      # 8,400 boxes of 80 classes; 30,000 of one class
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable

import torch
from harness import compare, print_rows, write_result
from torch import Tensor
from torchvision.ops import batched_nms

from yolov7.ops import NMS_TYPES, Kept

MOST, LOWEST = 300, 0.01
"""What a detector asks for: its best detections, above a score."""

Case = tuple[Tensor, Tensor, Tensor]


def crowded_case(
    seed: int, *, boxes: int, classes: int, objects: int, by_object: bool, size: int = 640
) -> Case:
    """Boxes, scores and classes as a dense head gives them: many around each of some objects.

    Args:
        seed: of the random numbers.
        boxes: number of boxes.
        classes: number of classes.
        objects: number of objects, with sides of 10 to 200 pixels.
        by_object: whether a box has the class of its object, or any.
        size: side of the image in pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(objects, 2, generator=generator) * size
    sides = 10 * torch.exp(3 * torch.rand(objects, 2, generator=generator))
    labels = torch.randint(classes, (objects,), generator=generator)
    of = torch.randint(objects, (boxes,), generator=generator)
    jitter = torch.randn(boxes, 4, generator=generator) * sides[of].repeat(1, 2) * 0.1
    corners = torch.cat([middle[of] - sides[of] / 2, middle[of] + sides[of] / 2], dim=1)
    every = torch.randint(classes, (boxes,), generator=generator)
    scores = torch.rand(boxes, generator=generator) ** 3
    return corners + jitter, scores, labels[of] if by_object else every


def alternatives(case: Case, threshold: float, **limits: float) -> dict[str, Callable[[], object]]:
    """torchvision's function, then all of ours."""

    def bind(nms: Callable[..., Kept]) -> Callable[[], object]:
        return lambda: nms(*case, threshold, **limits)

    theirs = {"torchvision's batched_nms": lambda: batched_nms(*case, threshold)}
    return theirs | {name: bind(nms) for name, nms in NMS_TYPES.items()}


def agreement(case: Case, threshold: float) -> dict[str, int]:
    """How many detections differ from torchvision's, for the kinds that should have the same."""
    theirs = set(batched_nms(*case, threshold).tolist())
    return {
        name: len(theirs ^ set(NMS_TYPES[name](*case, threshold).index.tolist()))
        for name in ("normal", "cluster")
    }


def main() -> None:
    """Time all kinds, print ratios, write `results/nms.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=8400)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--objects", type=int, default=100, help="that the boxes lie around")
    parser.add_argument("--threshold", type=float, default=0.65, help="IoU (%(default)s)")
    parser.add_argument("--most", type=int, default=30_000, help="boxes of the largest case")
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds of each alternative")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--name", default="nms", help="name of the file under results/")
    arguments = parser.parse_args()

    shape = {"boxes": arguments.boxes, "objects": arguments.objects}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = crowded_case(
        0, boxes=arguments.most, classes=1, objects=arguments.objects, by_object=True
    )
    timing = {
        f"{arguments.most} of one class, best {MOST}": compare(
            alternatives(largest, arguments.threshold, most=MOST, lowest=LOWEST), 1
        )
    }
    more_memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    cases = {
        "any class": crowded_case(0, **shape, classes=arguments.classes, by_object=False),
        "class of the object": crowded_case(0, **shape, classes=arguments.classes, by_object=True),
    }
    differing = {}
    for name, case in cases.items():
        differing[name] = agreement(case, arguments.threshold)
        timing[f"{name}, everything"] = compare(
            alternatives(case, arguments.threshold), arguments.repeats
        )
        timing[f"{name}, best {MOST}"] = compare(
            alternatives(case, arguments.threshold, most=MOST, lowest=LOWEST), arguments.repeats
        )
    result = {
        "case": {**shape, "classes": arguments.classes, "threshold": arguments.threshold},
        "detections_that_differ_from_torchvision": differing,
        "memory_mib_that_the_largest_case_adds": more_memory,
        "timing": timing,
    }
    file = write_result(arguments.name, result)
    if arguments.json:
        print(json.dumps(result))
        return
    print_rows("", timing)
    print(f"{differing} detections differ; {more_memory:.0f} MiB more; written to {file}")


if __name__ == "__main__":
    main()
