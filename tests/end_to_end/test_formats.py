"""One data set in three formats trains the same weights, bit for bit."""

import pytest

pytestmark = pytest.mark.end_to_end

SHORT = ["SOLVER.MAX_ITER", "6", "SOLVER.LAST_PHASE_ITERS", "2", "SOLVER.WARMUP_ITERS", "0",
         "SOLVER.FLAT_ITERS", "0", "TEST.EVAL_PERIOD", "6"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(runner, tmp_path_factory):
    return runner.run(tmp_path_factory.mktemp("coco") / "run", opts=SHORT)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("voc", {"FORMAT": "voc", "ROOT": "OUTPUT"}),
        ("yolo", {"FORMAT": "yolo", "DATA": "OUTPUT/data.yaml"}),
    ],
)
def test_training_does_not_depend_on_the_format(runner, trained, tmp_path, name, entry):
    output = str(tmp_path / name)
    converted = runner.start_script(
        runner.root / "tools" / "convert_dataset.py",
        tmp_path / "conversion",
        ["--to", name, "--output", output, "train=digits_train", "val=digits_val"],
        {},
    )
    assert "train: 24 images" in converted.wait()
    entry = {key: value.replace("OUTPUT", output) for key, value in entry.items()}
    register = [{"NAME": f"{name}_{s}", "SPLIT": s, **entry} for s in ("train", "val")]
    opts = ["DATASETS.REGISTER", str(register), "DATASETS.TRAIN", f"('{name}_train',)"]
    run = runner.run(tmp_path / "run", opts=[*SHORT, *opts, "DATASETS.TEST", f"('{name}_val',)"])
    different = trained.differences(run)
    assert not [key for key in different if key.startswith((".model", ".ema", ".optimizer"))]
    assert trained.checkpoint().keys() >= {"model", "ema", "optimizer"}
    evaluated = [
        [
            line.rpartition("copypaste: ")[2]
            for line in r.printed.splitlines()
            if "copypaste: " in line
        ]
        for r in (trained, run)
    ]
    if name == "yolo":  # COCO's protocol, too; sizes (APs …) are now those of boxes, not of masks
        assert evaluated[0][:2] == evaluated[1][:2] == ["Task: bbox", "AP,AP50,AP75,APs,APm,APl"]
        assert evaluated[0][2].split(",")[:3] == evaluated[1][2].split(",")[:3]
    else:
        assert evaluated[1][:2] == ["Task: bbox", "AP,AP50,AP75"]
