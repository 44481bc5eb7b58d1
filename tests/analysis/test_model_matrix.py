import re
from pathlib import Path

import pytest
import torch
from torch import nn

from yolov7.analysis import (
    RECIPES,
    Cost,
    analyze_config,
    cell_config,
    matrix_backbones,
    matrix_necks,
    matrix_tables,
    measure_matrix,
    model_matrix,
    own_entries,
)
from yolov7.d2 import BACKBONE_REGISTRY, ShapeSpec
from yolov7.modeling import HEAD_REGISTRY, NECK_REGISTRY

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def documented():
    """{(backbone, neck, head): (millions of parameters, GFLOPs)} of docs/models.md."""
    text = DOCS.read_text(encoding="utf-8")
    text = text.partition("<!-- written by tools/model_matrix.py -->")[2]
    text = text.partition("<!-- end of what it writes -->")[0]
    cells = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        head, title, _, *rows = [
            line for line in part.splitlines() if line.startswith(("|", part[:4]))
        ]
        necks = [name.strip() for name in title.split("|")[2:-1]]
        for row in rows:
            backbone, *values = [value.strip() for value in row.split("|")[1:-1]]
            for neck, value in zip(necks, values, strict=True):
                parameters, gflops, *milliseconds = map(float, value.split(" / "))
                assert len(milliseconds) <= 1 and all(time >= 1 for time in milliseconds)
                cells[backbone, neck, head.strip()] = (parameters, gflops)
    return cells


CELLS = documented()
BACKBONES = list(matrix_backbones())


def test_the_matrix_has_every_part_of_the_registries():
    named = {options[1] for options in matrix_backbones().values()}
    assert named == set(own_entries(BACKBONE_REGISTRY))
    others = {"DETRHead", "AnchorDETRHead"}
    assert set(RECIPES) == set(own_entries(HEAD_REGISTRY)) - others
    necks = {neck for head in RECIPES for neck in matrix_necks(head)}
    assert necks == set(own_entries(NECK_REGISTRY)) - {"Identity", "Projection"}


def test_the_documented_cells_are_those_of_the_registries():
    """If not: python tools/model_matrix.py --repeats 3 --write docs/models.md"""
    expected = {(b, n, h) for h in RECIPES for n in matrix_necks(h) for b in BACKBONES}
    assert set(CELLS) == expected


def check_documented(cell):
    statistics = analyze_config(cell_config(*cell))
    millions, gflops = CELLS[cell]
    assert millions == pytest.approx(statistics.parameters_deploy / 1e6, abs=0.0051)
    assert gflops == pytest.approx(statistics.gflops_deploy, abs=0.051)


@pytest.mark.parametrize("head", RECIPES)
def test_documented_numbers(head):
    """Sums over parts are what the analysis of the whole detector gives."""
    check_documented(("CSPDarknetTiny", matrix_necks(head)[-1], head))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_documented_numbers_of_every_backbone(backbone):
    number = BACKBONES.index(backbone)
    head = list(RECIPES)[number % len(RECIPES)]
    necks = matrix_necks(head)
    check_documented((backbone, necks[number % len(necks)], head))


class Stub(nn.Module):
    """A part with one parameter."""

    def __init__(self, shapes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        if shapes:
            self.output_shape = lambda: shapes

    def forward(self, *inputs):
        return inputs


def test_a_part_is_measured_once_for_all_cells_in_which_it_is_the_same(monkeypatch):
    """Two backbones of equal maps, of two necks one that widens: 2 + 4 + 2 x 2 parts."""
    maps = {"c3": ShapeSpec(channels=4, stride=8)}
    wide = {"p3": ShapeSpec(channels=8, stride=8)}
    same = {"p3": ShapeSpec(channels=4, stride=8)}
    monkeypatch.setattr(model_matrix, "build_backbone", lambda cfg: Stub(maps))
    monkeypatch.setattr(
        model_matrix,
        "build_neck",
        lambda cfg, shapes: Stub(wide if cfg.MODEL.NECK.NAME == "PAFPN" else same),
    )
    monkeypatch.setattr(model_matrix, "build_head", lambda cfg, shapes: Stub({}))
    monkeypatch.setattr(model_matrix, "matrix_necks", lambda head: ["FPN", "PAFPN"])
    monkeypatch.setattr(
        model_matrix, "compare", lambda runs, repeats: {"part": {"median_s": repeats / 1000}}
    )
    heads, seen = ["AnchorHead", "DecoupledHead"], []
    matrix = measure_matrix(["resnet18", "resnet50"], heads, repeats=5, report=seen.append)
    assert len(seen) == 2 + 4 + 4
    assert len(matrix) == 8
    assert set(matrix.values()) == {Cost(3, 0.0, 15.0)}
    without = measure_matrix(["resnet18"], heads)
    assert set(without.values()) == {Cost(3, 0.0, None)}


def test_tables():
    matrix = {
        ("A", "N", "H"): Cost(1_234_567, 8.91, 12.3),
        ("A", "M", "H"): Cost(1_000, 100.04, None),
        ("B", "N", "H"): Cost(2_000_000, 1.0, 2.0),
        ("B", "M", "H"): Cost(0, 0.0, 1.0),
        ("A", "N", "G"): Cost(1, 1.0, 1.0),
    }
    assert (
        matrix_tables(matrix)
        == """\
### H
|  | N | M |
| --- | ---: | ---: |
| A | 1.23 / 8.9 / 12 | 0.00 / 100.0 |
| B | 2.00 / 1.0 / 2 | 0.00 / 0.0 / 1 |

### G
|  | N |
| --- | ---: |
| A | 0.00 / 1.0 / 1 |"""
    )
