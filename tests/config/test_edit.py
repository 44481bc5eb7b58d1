import pytest
import yaml

from yolov7.config.edit import set_in_yaml
from yolov7.utils.errors import ConfigError

KEYS = ["MODEL", "YOLO", "ANCHORS"]
VALUE = [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # a block value that ends before a comment
            "MODEL:\n  YOLO:\n    ANCHORS:\n      - [[9, 9]]\n      - [[8, 8]]  # old\n\n# next\n"
            "A: 1\n",
            "MODEL:\n  YOLO:\n    ANCHORS:\n      [[[1, 2], [3, 4]]]  # old\n\n# next\nA: 1\n",
        ),
        (  # a flow value
            "MODEL: {YOLO: {ANCHORS: [[[9, 9]]], CLASSES: 3}}  # here\nB: 2",
            "MODEL: {YOLO: {ANCHORS: [[[1, 2], [3, 4]]], CLASSES: 3}}  # here\nB: 2",
        ),
        (  # a new key in a flow mapping
            "MODEL:\n  YOLO: {CLASSES: 3}\nB: 2\n",
            "MODEL:\n  YOLO: {CLASSES: 3, ANCHORS: [[[1, 2], [3, 4]]]}\nB: 2\n",
        ),
        (  # a new key in a block mapping, behind a comment
            "MODEL:\n  YOLO:\n    CLASSES: 3  # three\n  # of the model\nB: 2\n",
            "MODEL:\n  YOLO:\n    CLASSES: 3  # three\n    ANCHORS: [[[1, 2], [3, 4]]]\n"
            "  # of the model\nB: 2\n",
        ),
        (  # new parents
            "# head\nVERSION: 2\n",
            "# head\nVERSION: 2\nMODEL: {YOLO: {ANCHORS: [[[1, 2], [3, 4]]]}}\n",
        ),
        ("A: 1", "A: 1\nMODEL: {YOLO: {ANCHORS: [[[1, 2], [3, 4]]]}}"),
    ],
)
def test_only_the_value_changes(text, expected):
    assert set_in_yaml(text, KEYS, VALUE, source="a.yaml") == expected
    assert yaml.safe_load(expected)["MODEL"]["YOLO"]["ANCHORS"] == VALUE


def test_scalars_have_no_document_end():
    assert set_in_yaml("A: 1\n", ["A"], 2.5, source="a.yaml") == "A: 2.5\n"


@pytest.mark.parametrize("text", ["", "MODEL:\n", "- 1\n", "MODEL: {}\n", "MODEL: [1\n"])
def test_what_cannot_be_edited_is_said(text):
    with pytest.raises(ConfigError, match=r"a\.yaml: cannot set MODEL.YOLO.ANCHORS"):
        set_in_yaml(text, KEYS, VALUE, source="a.yaml")
