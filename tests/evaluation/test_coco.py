"""The COCO evaluator against numbers worked by hand and against pycocotools, bit by bit."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import sys

import pytest
import torch
import torch.distributed

from yolov7.d2 import Boxes, DatasetCatalog, Instances, MetadataCatalog
from yolov7.evaluation import COCOEvaluator, HotcocoBackend, PycocotoolsBackend
from yolov7.utils.errors import DatasetError, UserError

KEYS = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip
BACKENDS = [HotcocoBackend(), PycocotoolsBackend()]


def by_name(backend):
    return backend.name


def annotation(identity, box, *, image=1, category=1, crowd=0, area=None):
    x, y, w, h = box
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    return {
        "id": identity, "image_id": image, "category_id": category, "bbox": list(box),
        "area": w * h if area is None else area, "iscrowd": crowd, "segmentation": [polygon],
    }  # fmt: skip


def detection(box, score, *, image=1, category=1):
    x, y, w, h = box
    return {
        "image_id": image, "category_id": category, "bbox": list(box), "score": score,
        "polygon": [x, y, x + w, y, x + w, y + h, x, y + h],
    }  # fmt: skip


def dataset(annotations, *, images=1, categories=(1,)):
    return {
        "images": [
            {"id": i + 1, "file_name": f"{i}.jpg", "height": 300, "width": 400}
            for i in range(images)
        ],
        "categories": [{"id": c, "name": f"class {c}"} for c in categories],
        "annotations": annotations,
    }


def evaluate(name, pairs, **settings):
    evaluator = COCOEvaluator(name, **settings)
    evaluator.reset()
    for sample, output in pairs:
        evaluator.process([sample], [output])
    return evaluator.evaluate()


def same(results, expected):
    for key, value in expected.items():
        got = results[key]
        assert got == value or (math.isnan(got) and math.isnan(value)), (key, got, value)


SMALL, LARGE = (10, 10, 20, 20), (50, 50, 200, 150)
HARD_CASES = {
    # Anything within a crowd is neither right nor wrong, however often it is hit.
    "crowd": (
        dataset([annotation(1, LARGE, crowd=1), annotation(2, SMALL)]),
        [
            detection((60, 60, 30, 30), 0.9),
            detection((80, 80, 30, 30), 0.8),
            detection(SMALL, 0.7),
            detection((300, 250, 40, 40), 0.6),
        ],
    ),
    # A detection may fit a crowd better than its object.
    "crowd over an object": (
        dataset([annotation(1, LARGE, crowd=1), annotation(2, (60, 60, 100, 100))]),
        [detection((65, 65, 90, 90), 0.9), detection((60, 60, 100, 100), 0.8)],
    ),
    "only a crowd": (dataset([annotation(1, LARGE, crowd=1)]), [detection(SMALL, 0.5)]),
    # Objects outside of an area range are ignored there, and with them what matches them;
    # `area` is the file's, not the box's.
    "areas": (
        dataset(
            [
                annotation(1, SMALL),
                annotation(2, LARGE),
                annotation(3, (0, 200, 60, 60)),
                annotation(4, (300, 10, 90, 90), area=500),
                annotation(5, (0, 100, 32, 32)),
            ]
        ),
        [
            detection((8, 8, 40, 40), 0.9),
            detection((60, 60, 180, 140), 0.8),
            detection((0, 200, 30, 60), 0.7),
            detection((300, 10, 90, 90), 0.6),
            detection((0, 100, 32, 32), 0.5),
            detection((200, 250, 10, 10), 0.4),
        ],
    ),
    "ties": (
        dataset(
            [
                annotation(1, LARGE),
                annotation(2, (60, 55, 200, 150)),
                annotation(3, LARGE, image=2),
                annotation(4, SMALL, image=3),
            ],
            images=3,
        ),
        [
            detection((55, 52, 200, 150), 0.5),
            detection(LARGE, 0.5),
            detection((0, 0, 9, 9), 0.5),
            detection((0, 0, 9, 9), 0.5, image=2),
            detection(LARGE, 0.5, image=2),
            detection(SMALL, 0.5, image=3),
            detection(SMALL, 0.5, image=3),
        ],
    ),
    # Image 2 has no objects, image 3 no detections, image 4 neither.
    "empty images": (
        dataset([annotation(1, LARGE), annotation(2, SMALL, image=3)], images=4),
        [detection(LARGE, 0.4), detection(SMALL, 0.9, image=2)],
    ),
    "more than count": (
        dataset([annotation(i + 1, (10 + 3 * i, 10, 40, 40)) for i in range(110)]),
        [detection((11 + 3 * (i % 110), 10, 40, 40), (i * 37 % 101) / 101) for i in range(220)],
    ),
    "gapped and zero-based categories": (
        dataset(
            [
                annotation(1, LARGE, category=0),
                annotation(2, SMALL, category=7),
                annotation(3, SMALL, category=90),
            ],
            categories=(90, 0, 7, 8),
        ),
        [
            detection(LARGE, 0.4, category=0),
            detection(SMALL, 0.9, category=90),
            detection(SMALL, 0.3, category=8),
            detection((200, 200, 20, 20), 0.95, category=7),
        ],
    ),
    "without area": (
        dataset([annotation(1, (30, 30, 0, 20)), annotation(2, SMALL)]),
        [detection((30, 30, 0, 20), 0.9), detection(SMALL, 0.8), detection((5, 5, 0, 0), 0.7)],
    ),
    "no objects": (dataset([]), [detection(SMALL, 0.5)]),
    "no detections": (dataset([annotation(1, LARGE), annotation(2, SMALL)]), []),
    "neither": (dataset([]), []),
}


@pytest.mark.parametrize("backend", BACKENDS, ids=by_name)
@pytest.mark.parametrize("case", HARD_CASES)
def test_boxes_equal_pycocotools_on_hard_cases(case, backend, register, outputs_of, reference):
    coco, rows = HARD_CASES[case]
    results = evaluate(register(coco), outputs_of(coco, rows), backend=backend)
    same(results["bbox"], reference(coco, rows)[0])


@pytest.mark.parametrize("backend", BACKENDS, ids=by_name)
@pytest.mark.parametrize("case", sorted(set(HARD_CASES) - {"without area", "more than count"}))
def test_masks_equal_pycocotools_on_hard_cases(
    case, backend, register, outputs_of, reference, tmp_path
):
    coco, rows = HARD_CASES[case]
    results = evaluate(
        register(coco), outputs_of(coco, rows, with_masks=True),
        tasks=("bbox", "segm"), backend=backend, output_dir=tmp_path,
    )  # fmt: skip
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    masks = [{k: v for k, v in row.items() if k != "bbox"} for row in written]
    same(results["segm"], reference(coco, masks, "segm")[0])
    same(results["bbox"], reference(coco, rows)[0])


def test_numbers_worked_by_hand(register, outputs_of):
    # Two objects of 100x100. In order of score: the first is hit exactly (IoU 1), then a miss, then
    # the second is hit with IoU 100*62.5/100*100 = .625.
    # IoU .50 .55 .60: right, wrong, right. Precision is 1 up to recall 1/2 and 2/3 up to 1: of the
    #   101 recalls 0, .01 ... 1 there are 51 up to .50 and 50 above: (51 + 50 * 2/3) / 101.
    # IoU .65 ... .95: right, wrong, wrong. Recall ends at 1/2: 51 / 101.
    # AP is their mean over 3 and 7 thresholds; AP50 the first, AP75 the second.
    # Recall: 1 at three thresholds and 1/2 at seven; with one detection 1/2 at all ten.
    coco = dataset([annotation(1, (0, 0, 100, 100)), annotation(2, (200, 0, 100, 100))])
    rows = [
        detection((0, 0, 100, 100), 0.9),
        detection((150, 150, 50, 50), 0.8),
        detection((200, 0, 100, 62.5), 0.7),
    ]
    results = evaluate(register(coco), outputs_of(coco, rows))["bbox"]
    full, half = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert results["AP"] == pytest.approx(100 * (3 * full + 7 * half) / 10, abs=1e-10)
    assert results["AP50"] == pytest.approx(100 * full, abs=1e-10)
    assert results["AP75"] == pytest.approx(100 * half, abs=1e-10)
    # 100x100 is above 96x96: all is large. The miss, of 50x50, is no large detection: for APl it is
    # left out, so that precision stays 1.
    assert results["APl"] == pytest.approx(100 * (3 * 1 + 7 * half) / 10, abs=1e-10)
    assert math.isnan(results["APs"]) and math.isnan(results["APm"])
    assert results["AR1"] == pytest.approx(50)
    assert results["AR10"] == results["AR100"] == results["ARl"] == pytest.approx(65)
    assert list(results) == list(KEYS), "one class has no table of classes"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("backend", BACKENDS, ids=by_name)
def test_synthetic_images_equal_pycocotools(
    seed, backend, synthetic_coco, register, outputs_of, reference, tmp_path
):
    coco, rows = synthetic_coco(
        num_images=40, num_objects=250, num_detections=1500, num_classes=5, seed=seed
    )
    pairs = outputs_of(coco, rows)
    results = evaluate(register(coco), pairs, backend=backend, output_dir=tmp_path)["bbox"]
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    expected, evaluation, _ = reference(coco, written)
    same(results, expected)
    for place, category in enumerate(coco["categories"]):
        curve = evaluation.eval["precision"][:, :, place, 0, 2]
        assert results[f"AP-{category['name']}"] == curve[curve > -1].mean() * 100
    # … and these are what pycocotools says when asked for one category alone.
    alone, _, _ = reference(coco, written, category_ids=[coco["categories"][3]["id"]])
    assert results["AP-class 3"] == alone["AP"]


def test_synthetic_masks_equal_pycocotools(
    synthetic_coco, register, outputs_of, reference, tmp_path
):
    coco, rows = synthetic_coco(
        num_images=12, num_objects=70, num_detections=150, num_classes=3, with_masks=True
    )
    results = evaluate(
        register(coco), outputs_of(coco, rows, with_masks=True), tasks=("segm",),
        output_dir=tmp_path,
    )  # fmt: skip
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    masks = [{k: v for k, v in row.items() if k != "bbox"} for row in written]
    expected, _, _ = reference(coco, masks, "segm")
    same(results["segm"], expected)
    assert expected["APs"] > 0 and expected["APm"] > 0 and expected["APl"] > 0


@pytest.mark.slow
def test_5000_images_equal_pycocotools(synthetic_coco, register, outputs_of, reference, tmp_path):
    coco, rows = synthetic_coco(
        num_images=5000, num_objects=36_000, num_detections=500_000, num_classes=80
    )
    results = evaluate(register(coco), outputs_of(coco, rows), output_dir=tmp_path)["bbox"]
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    assert len(written) == 500_000
    same(results, reference(coco, written)[0])


@pytest.mark.slow
def test_5000_images_of_masks_equal_pycocotools(
    synthetic_coco, register, outputs_of, reference, tmp_path
):
    coco, rows = synthetic_coco(
        num_images=5000, num_objects=8_000, num_detections=12_000, num_classes=80, with_masks=True
    )
    results = evaluate(
        register(coco), outputs_of(coco, rows, with_masks=True), tasks=("segm",),
        output_dir=tmp_path,
    )  # fmt: skip
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    masks = [{k: v for k, v in row.items() if k != "bbox"} for row in written]
    same(results["segm"], reference(coco, masks, "segm")[0])


@pytest.mark.parametrize("limit", [1, 3, 300])
def test_custom_limit_of_detections(limit, register, outputs_of):
    """220 detections of 110 objects in one image: the limit caps what can be found."""
    coco, _ = HARD_CASES["more than count"]
    rows = [detection(a["bbox"], 0.5 + a["id"] / 1000) for a in coco["annotations"]]
    results = [
        evaluate(register(coco), outputs_of(coco, rows), max_detections=limit, backend=backend)
        for backend in BACKENDS
    ]
    assert str(results[0]) == str(results[1])
    assert results[0]["bbox"][f"AR{limit}"] == pytest.approx(100 * min(limit, 110) / 110)
    with pytest.raises(ValueError, match="max_detections"):
        COCOEvaluator("any", max_detections=0)


def test_results_file_has_the_data_sets_ids_and_unrounded_numbers(register, outputs_of, tmp_path):
    coco, rows = HARD_CASES["gapped and zero-based categories"]
    evaluate(register(coco), outputs_of(coco, rows), output_dir=tmp_path / "new")
    written = json.loads((tmp_path / "new" / "coco_instances_results.json").read_text())
    for row in rows:
        expected = {k: row[k] for k in ("image_id", "category_id", "bbox", "score")}
        assert expected in written
    assert len(written) == len(rows)


def test_results_do_not_depend_on_the_order_of_images(register, outputs_of):
    coco, rows = HARD_CASES["ties"]
    name, pairs = register(coco), list(outputs_of(coco, rows))
    assert str(evaluate(name, pairs)) == str(evaluate(name, pairs[::-1]))


def test_classes_in_another_order_than_their_ids(register, outputs_of, reference):
    """`DATASETS.CLASS_NAMES` may order classes at will; numbers and ids follow."""
    coco, rows = HARD_CASES["gapped and zero-based categories"]
    order = [90, 7, 0, 8]
    name = register(coco)
    MetadataCatalog.remove(name)
    metadata = MetadataCatalog.get(name)
    plain = register(coco)
    metadata.set(
        json_file=MetadataCatalog.get(plain).json_file,
        thing_classes=[f"class {c}" for c in order],
        thing_dataset_id_to_contiguous_id={c: place for place, c in enumerate(order)},
    )
    pairs = []
    for sample, output in outputs_of(coco, rows):
        ids = torch.tensor([0, 7, 8, 90])[output["instances"].pred_classes]
        output["instances"].pred_classes = torch.tensor([order.index(i) for i in ids.tolist()])
        pairs.append((sample, output))
    results = evaluate(name, pairs)["bbox"]
    same(results, reference(coco, rows)[0])
    assert results["AP-class 90"] == pytest.approx(100)
    assert results["AP-class 7"] == 0 and math.isnan(results["AP-class 8"])


def test_data_set_without_a_json_file(tmp_path, outputs_of, reference):
    coco, rows = HARD_CASES["ties"]
    name = "evaluation_test_records"
    records = [
        {
            **{k: image[k] for k in ("file_name", "height", "width")},
            "image_id": f"image {image['id']}",
            "annotations": [
                {"bbox": a["bbox"], "bbox_mode": 1, "category_id": 0, "iscrowd": 0}
                for a in coco["annotations"]
                if a["image_id"] == image["id"]
            ],
        }
        for image in coco["images"]
    ]
    DatasetCatalog.register(name, lambda: records)
    MetadataCatalog.get(name).set(thing_classes=["thing"])
    try:
        pairs = [
            ({"image_id": f"image {sample['image_id']}"}, output)
            for sample, output in outputs_of(coco, rows)
        ]
        results = evaluate(name, pairs, output_dir=tmp_path)["bbox"]
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    same(results, reference(coco, rows)[0])
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    assert {(row["image_id"], row["category_id"]) for row in written} == {
        (f"image {i}", 0) for i in (1, 2, 3)
    }


def test_nothing_found_counts_as_zero_and_is_said(register, outputs_of, caplog):
    coco = dataset([annotation(1, LARGE)], images=2)
    with caplog.at_level(logging.WARNING):
        results = evaluate(register(coco), outputs_of(coco, []))["bbox"]
    assert results["AP"] == results["AR100"] == results["APl"] == 0
    assert math.isnan(results["APs"])
    assert "found nothing in any image" in caplog.text


def test_nothing_processed_gives_no_results(register, caplog):
    with caplog.at_level(logging.WARNING):
        assert evaluate(register(dataset([annotation(1, LARGE)])), []) == {}
    assert "no image was processed" in caplog.text


def test_images_that_were_not_processed_count_as_empty(register, outputs_of, caplog):
    coco = dataset([annotation(1, LARGE), annotation(2, LARGE, image=2)], images=2)
    pairs = list(outputs_of(coco, [detection(LARGE, 0.9), detection(LARGE, 0.9, image=2)]))
    name = register(coco)
    with caplog.at_level(logging.WARNING):
        results = evaluate(name, pairs[:1])["bbox"]
    assert results["AR100"] == 50
    assert "1 of the 2 images" in caplog.text
    evaluator = COCOEvaluator(name)
    evaluator.process(*zip(*pairs[:1], strict=True))
    assert evaluator.evaluate(img_ids=[1])["bbox"]["AR100"] == 100


def test_an_image_may_come_only_once(register, outputs_of):
    coco, rows = HARD_CASES["ties"]
    pairs = list(outputs_of(coco, rows))
    with pytest.raises(DatasetError, match="image 2 was evaluated more than once"):
        evaluate(register(coco), [*pairs, pairs[1]])


def test_images_and_classes_of_another_data_set_are_refused(register, outputs_of):
    coco, rows = HARD_CASES["ties"]
    name, pairs = register(coco), list(outputs_of(coco, rows))
    with pytest.raises(DatasetError, match="no image with the id 99"):
        evaluate(name, [({"image_id": 99}, pairs[0][1])])
    pairs[0][1]["instances"].pred_classes += 4
    with pytest.raises(DatasetError, match=r"class 4, but .* has 1 classes.*MODEL.YOLO.CLASSES"):
        evaluate(name, pairs)


def test_broken_numbers_are_left_out_and_counted(register, outputs_of, reference, caplog):
    coco, rows = HARD_CASES["ties"]
    pairs = list(outputs_of(coco, rows))
    broken = Instances((300, 400))
    broken.pred_boxes = Boxes(torch.tensor([[0.0, 0, 9, float("nan")], [0, 0, 9, 9]]))
    broken.scores = torch.tensor([0.9, float("inf")])
    broken.pred_classes = torch.tensor([0, 0])
    pairs[1][1]["instances"] = Instances.cat([pairs[1][1]["instances"], broken])
    with caplog.at_level(logging.WARNING):
        results = evaluate(register(coco), pairs)["bbox"]
    same(results, reference(coco, rows)[0])
    assert "2 detections with NaN or infinite" in caplog.text


def test_output_folder_that_cannot_be_written(register, outputs_of, tmp_path):
    coco, rows = HARD_CASES["ties"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        evaluate(register(coco), outputs_of(coco, rows), output_dir=tmp_path / "file" / "inference")


def test_masks_are_asked_for_and_missing(register, outputs_of):
    coco, rows = HARD_CASES["ties"]
    with pytest.raises(ValueError, match="pred_masks"):
        evaluate(register(coco), outputs_of(coco, rows), tasks=("segm",))
    without = {**coco, "annotations": [{**a, "segmentation": []} for a in coco["annotations"]]}
    with pytest.raises(DatasetError, match="4 annotations have no 'segmentation'"):
        evaluate(register(without), outputs_of(coco, rows, with_masks=True), tasks=("segm",))


def test_unknown_task():
    with pytest.raises(ValueError, match="bbox, segm"):
        COCOEvaluator("any", tasks=("keypoints",))


def test_the_report_names_lines_and_classes(register, outputs_of, caplog):
    coco, rows = HARD_CASES["gapped and zero-based categories"]
    with caplog.at_level(logging.INFO):
        evaluate(register(coco), outputs_of(coco, rows))
    assert caplog.text.count("Average Precision  (AP)") == 6
    assert caplog.text.count("Average Recall     (AR)") == 6
    assert "class 90" in caplog.text


def test_ranks_are_gathered(register, outputs_of, monkeypatch):
    """Rank 0 joins the shares; the others return nothing."""
    coco, rows = HARD_CASES["ties"]
    name, pairs = register(coco), list(outputs_of(coco, rows))
    alone = evaluate(name, pairs)
    ranks = [COCOEvaluator(name), COCOEvaluator(name)]
    for place, (sample, output) in enumerate(pairs):
        ranks[place % 2].process([sample], [output])
    shares = [rank._collector._images for rank in ranks]
    monkeypatch.setattr("yolov7.evaluation.collector.gather", lambda mine, dst: shares)
    assert str(ranks[0].evaluate()) == str(alone)
    monkeypatch.setattr("yolov7.evaluation.collector.gather", lambda mine, dst: [])
    monkeypatch.setattr("yolov7.evaluation.collector.is_main_process", lambda: False)
    assert ranks[1].evaluate() == {}
    monkeypatch.undo()
    assert evaluate(name, pairs[:1], distributed=False) == evaluate(name, pairs[:1])


def _evaluate_as_rank(rank, rendezvous, name, pairs, output_dir, answers):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2
    )
    share = pairs[: len(pairs) // 2] if rank == 0 else pairs[len(pairs) // 2 :]
    # hotcoco's threads, started by earlier tests, did not come along through the fork.
    backend = PycocotoolsBackend()
    answers.put((rank, evaluate(name, share, output_dir=output_dir, backend=backend)))
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform != "linux", reason="needs forked processes")
def test_two_ranks_give_the_numbers_of_one(synthetic_coco, register, outputs_of, tmp_path):
    coco, rows = synthetic_coco(num_images=10, num_objects=60, num_detections=200, num_classes=2)
    name, pairs = register(coco), list(outputs_of(coco, rows))
    alone = evaluate(name, pairs, output_dir=tmp_path / "one")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    arguments = (tmp_path / "meeting", name, pairs, tmp_path / "two", answers)
    ranks = [
        context.Process(target=_evaluate_as_rank, args=(rank, *arguments)) for rank in range(2)
    ]
    for process in ranks:
        process.start()
    results = dict(answers.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join()
    assert str(results[0]) == str(alone) and results[1] == {}
    files = [tmp_path / run / "coco_instances_results.json" for run in ("one", "two")]
    assert files[0].read_text() == files[1].read_text()
