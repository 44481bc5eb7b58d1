"""The loop between a loader, a model and its evaluators."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from yolov7.d2 import DatasetEvaluator
from yolov7.evaluation import inference_on_dataset

LOADER = [[{"image_id": 1}, {"image_id": 2}], [{"image_id": 3}]]


class Collector(DatasetEvaluator):
    def __init__(self, name="seen"):
        self.name, self.resets, self.pairs = name, 0, []

    def reset(self):
        self.resets, self.pairs = self.resets + 1, []

    def process(self, inputs, outputs):
        self.pairs += [(i["image_id"], o["found"]) for i, o in zip(inputs, outputs, strict=True)]

    def evaluate(self):
        return {self.name: {"number": len(self.pairs)}}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.normal, self.frozen = nn.BatchNorm2d(1), nn.BatchNorm2d(1).eval()

    def forward(self, samples):
        assert not (self.training or self.normal.training or self.frozen.training)
        assert not torch.is_grad_enabled()
        return [{"found": 10 * sample["image_id"]} for sample in samples]


def test_every_sample_meets_its_result_and_modes_are_restored():
    model, collector = Model(), Collector()
    assert inference_on_dataset(model, LOADER, collector) == {"seen": {"number": 3}}
    assert collector.pairs == [(1, 10), (2, 20), (3, 30)] and collector.resets == 1
    assert model.training and model.normal.training and not model.frozen.training


def test_modes_are_restored_after_an_error():
    model = Model()
    with pytest.raises(KeyError):
        inference_on_dataset(model, [[{}]], Collector())
    assert model.training and not model.frozen.training


def test_any_callable_and_a_loader_without_length(caplog):
    with caplog.at_level(logging.INFO):
        results = inference_on_dataset(
            lambda samples: [{"found": 0}] * len(samples), iter(LOADER), Collector()
        )
    assert results == {"seen": {"number": 3}}
    assert "3 images in" in caplog.text and "data" in caplog.text


def test_several_evaluators_none_and_no_images():
    both = inference_on_dataset(Model(), LOADER, [Collector("a"), Collector("b")])
    assert both == {"a": {"number": 3}, "b": {"number": 3}}
    assert inference_on_dataset(Model(), LOADER, None) == {}
    assert inference_on_dataset(Model(), [], Collector()) == {"seen": {"number": 0}}
    with pytest.raises(ValueError, match="seen"):
        inference_on_dataset(Model(), LOADER, [Collector(), Collector()])


def test_other_ranks_return_nothing(monkeypatch):
    monkeypatch.setattr("yolov7.evaluation.inference.is_main_process", lambda: False)
    assert inference_on_dataset(Model(), LOADER, Collector()) == {}
