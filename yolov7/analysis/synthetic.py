"""Made-up samples, for measurements that need pictures but not what is in them."""

from __future__ import annotations

from typing import Any

import torch

from yolov7.d2 import Boxes, Instances


def synthetic_samples(
    count: int,
    size: tuple[int, int],
    *,
    num_classes: int,
    num_objects: int = 16,
    num_channels: int = 3,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Samples as a mapper makes them: pictures of noise, objects of random places and classes.

    Args:
        count: number of samples.
        size: (height, width) of the pictures.
        num_classes: labels are drawn from [0, num_classes).
        num_objects: in each picture; 16 is about what a Mosaic of COCO's pictures holds.
        num_channels: of the pictures.
        seed: same seed, same samples.

    Returns:
        dicts with `image` uint8 (C, H, W), `height`, `width` and `instances`, whose boxes have
        sides of 1/20 to 1/2 of the picture's and lie inside it.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    extent = torch.tensor([width, height], dtype=torch.float32)
    samples = []
    for _ in range(count):
        sides = extent * (0.05 + 0.45 * torch.rand(num_objects, 2, generator=generator))
        corners = (extent - sides) * torch.rand(num_objects, 2, generator=generator)
        instances = Instances(size, gt_boxes=Boxes(torch.cat([corners, corners + sides], dim=1)))
        instances.gt_classes = torch.randint(num_classes, (num_objects,), generator=generator)
        image = torch.randint(
            256, (num_channels, height, width), generator=generator, dtype=torch.uint8
        )
        samples.append({"image": image, "height": height, "width": width, "instances": instances})
    return samples
