from __future__ import annotations

import torch

from yolov7.modeling.assignment.candidates import Candidates


def pack(rows: list[list[int]]) -> Candidates:
    copies = torch.tensor(rows)
    count = copies.sum(dim=1)
    return Candidates.pack(copies, count, total=int(count.sum()), most=int(count.max()))


def test_candidates_are_numbered_by_image_and_place() -> None:
    candidates = pack([[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]])
    assert candidates.place.tolist() == [1, 2, 8, 11]
    assert candidates.position[candidates.place].tolist() == [0, 1, 2, 3]
    assert candidates.first.tolist() == [0, 2, 2]
    assert len(candidates) == 4
    positions, valid = candidates.of_images(torch.tensor([2, 1, 0]), width=3)
    assert valid.tolist() == [[True, True, False], [False] * 3, [True, True, False]]
    assert positions[valid].tolist() == [2, 3, 0, 1]
    assert bool(((positions >= 0) & (positions < 4)).all()), "safe to index with"


def test_all_and_none() -> None:
    assert pack([[1, 1], [1, 1]]).place.tolist() == [0, 1, 2, 3]
    assert pack([[0, 0], [0, 0]]).place.shape == (0,)


def test_a_place_that_is_a_candidate_twice_has_two_positions() -> None:
    candidates = pack([[0, 2, 1], [3, 0, 0]])
    assert candidates.place.tolist() == [1, 1, 2, 3, 3, 3]
    assert candidates.position[torch.tensor([1, 2, 3])].tolist() == [0, 2, 3]
    assert candidates.count.tolist() == [3, 3]
    positions, valid = candidates.of_images(torch.tensor([1]), width=3)
    assert positions[valid].tolist() == [3, 4, 5]
