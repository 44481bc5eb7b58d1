import pytest
import torch

from yolov7.modeling.postprocessing.class_choice import best_class, every_class

PROBABILITIES = torch.tensor([[0.8, 0.5, 0.1], [0.2, 0.3, 0.2], [0.6, 0.9, 0.7]])
LOGITS = PROBABILITIES.logit()
OBJECTNESS = torch.tensor([0.5, 0.5, 1.0])
# Scores by hand: .40 .25 .05, .10 .15 .10, .60 .90 .70


def test_best_class():
    rows, classes, scores = best_class(LOGITS, OBJECTNESS, 0.2)
    assert rows.tolist() == [0, 2]
    assert classes.tolist() == [0, 1]
    assert scores.tolist() == pytest.approx([0.4, 0.9])


def test_every_class():
    rows, classes, scores = every_class(LOGITS, OBJECTNESS, 0.2)
    assert rows.tolist() == [0, 0, 2, 2, 2]
    assert classes.tolist() == [0, 1, 0, 1, 2]
    assert scores.tolist() == pytest.approx([0.4, 0.25, 0.6, 0.9, 0.7])


@pytest.mark.parametrize("choice", [best_class, every_class])
def test_nothing_in_and_not_a_number(choice):
    for logits in (torch.zeros(0, 3), torch.full((2, 3), torch.nan)):
        rows, classes, scores = choice(logits, torch.ones(len(logits)), 0.0)
        assert rows.shape == classes.shape == scores.shape == (0,)
        assert rows.dtype == classes.dtype == torch.int64


def test_one_class_is_the_same_either_way():
    one = LOGITS[:, :1]
    for best, every in zip(
        best_class(one, OBJECTNESS, 0.2), every_class(one, OBJECTNESS, 0.2), strict=True
    ):
        assert torch.equal(best, every)
