from dataclasses import dataclass
from typing import Any

import torch

from yolov7.utils.tensors import tensors_in


@dataclass
class Pair:
    first: Any
    second: Any


def test_tensors_are_found_in_their_order():
    zero, one, two, three, four = torch.arange(5)
    values = [zero, {"b": (one,), "a": Pair(two, [three, None, "text", 7.0])}, (four,)]
    assert [int(tensor) for tensor in tensors_in(values)] == [0, 1, 2, 3, 4]
    assert next(tensors_in(zero)) is zero
    assert not list(tensors_in(None)) and not list(tensors_in([]))
