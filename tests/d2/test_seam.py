"""The list of names, and the one decision between the two branches."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from yolov7 import d2
from yolov7.d2 import branch
from yolov7.utils.errors import UserError

DESIGNED = """
    CfgNode get_cfg configurable LazyConfig LazyCall instantiate
    META_ARCH_REGISTRY BACKBONE_REGISTRY build_model build_backbone ShapeSpec Backbone
    Boxes BoxMode pairwise_iou pairwise_ioa Instances ImageList
    BitMasks PolygonMasks polygons_to_bitmask
    DatasetCatalog MetadataCatalog Metadata register_coco_instances load_coco_json
    convert_to_coco_dict Registry Transform TransformList locate
    Augmentation AugmentationList AugInput
    EventStorage get_event_storage has_event_storage EventWriter JSONWriter CommonMetricPrinter
    HookBase DatasetEvaluator detector_postprocess PathManager
    get_rank get_world_size get_local_rank get_local_size is_main_process
    create_local_process_group synchronize all_gather gather reduce_dict shared_random_seed
"""

EMBEDDED = Path(d2.__file__).parent / "embedded"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package called detectron2 on the path; `source` is its code."""

    def put(source: str) -> None:
        package = tmp_path / "detectron2"
        package.mkdir()
        (package / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    before = {name for name in sys.modules if name.partition(".")[0] == "detectron2"}
    yield put
    for name in [n for n in sys.modules if n.partition(".")[0] == "detectron2"]:
        if name not in before:
            del sys.modules[name]


@pytest.fixture
def without_detectron2(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "detectron2" else find_spec(name, *rest),
    )


def test_names_are_those_of_the_design_and_each_is_listed_once():
    assert sorted(d2.__all__) == sorted(DESIGNED.split())
    assert all(hasattr(d2, name) for name in d2.__all__)


def test_the_embedded_branch_has_every_name():
    for concept, (_, names) in d2._CONCEPTS.items():
        module = importlib.import_module(f"yolov7.d2.embedded.{concept}")
        assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.detectron2
@pytest.mark.skipif(d2.BRANCH != "detectron2", reason="would load it beside the embedded branch")
def test_detectron2_has_every_name():
    for home, names in d2._CONCEPTS.values():
        module = importlib.import_module(home)
        assert [name for name in names if not hasattr(module, name)] == []


def test_all_names_come_from_one_branch():
    own = [n for n in d2.__all__ if getattr(d2, n).__class__.__module__.startswith("yolov7")]
    own += [n for n in d2.__all__ if getattr(getattr(d2, n), "__module__", "")[:6] == "yolov7"]
    assert bool(own) == (d2.BRANCH == "embedded")
    if d2.BRANCH == "embedded":
        assert [n for n in sys.modules if n.partition(".")[0] == "detectron2"] == []


def test_embedded_files_never_import_detectron2():
    for path in EMBEDDED.glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [ln for ln in lines if "import" in ln.split() and "detectron2" in ln] == []


def test_auto_without_detectron2_is_embedded(monkeypatch, without_detectron2):
    monkeypatch.delenv("YOLOV7_D2", raising=False)
    assert branch.choose_branch() == "embedded"
    monkeypatch.setenv("YOLOV7_D2", "")
    assert branch.choose_branch() == "embedded"


def test_auto_with_detectron2_is_detectron2(monkeypatch, install):
    install("import sys, types\nsys.modules['detectron2.modeling'] = types.ModuleType('m')\n")
    sys.modules.pop("detectron2", None)
    monkeypatch.delenv("YOLOV7_D2", raising=False)
    assert branch.choose_branch() == "detectron2"


def test_embedded_does_not_even_look(monkeypatch, install):
    install("raise RuntimeError('never imported')")
    monkeypatch.setenv("YOLOV7_D2", "embedded")
    assert branch.choose_branch() == "embedded"


def test_asking_for_a_missing_detectron2_says_what_to_do(monkeypatch, without_detectron2):
    monkeypatch.setenv("YOLOV7_D2", "detectron2")
    with pytest.raises(UserError, match=r"not installed.*YOLOV7_D2=embedded"):
        branch.choose_branch()


def test_another_value_is_refused(monkeypatch):
    monkeypatch.setenv("YOLOV7_D2", "real")
    with pytest.raises(UserError, match="YOLOV7_D2=real: expected one of auto"):
        branch.choose_branch()


@pytest.mark.parametrize("choice", ["auto", "detectron2"])
@pytest.mark.skipif("detectron2" in sys.modules, reason="the real detectron2 is loaded")
def test_a_broken_detectron2_is_reported_with_its_own_error(monkeypatch, install, choice):
    install("raise ImportError('libcudart.so.99: cannot open')")
    monkeypatch.setenv("YOLOV7_D2", choice)
    with pytest.raises(ImportError, match=r"libcudart\.so\.99") as caught:
        branch.choose_branch()
    assert "YOLOV7_D2=embedded" in caught.value.__notes__[0]
