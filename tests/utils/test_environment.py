import json
import os

import torch

from yolov7.utils.environment import collect_environment, describe_machine, machine_in_a_line


def test_description_is_plain_and_true():
    found = json.loads(json.dumps(describe_machine()))
    assert found["cores"] == os.cpu_count()
    assert found["torch"] == torch.__version__
    assert found["torch_threads"] == torch.get_num_threads()
    assert len(found["load_average"]) == 3
    assert found["processor"]
    assert found["processor"] in collect_environment()


def test_in_a_line():
    machine = {
        "processor": "A", "cores": 8, "torch_threads": 2, "load_average": [1.25, 0, 0],
        "accelerator": None, "torch": "2.6",
    }  # fmt: skip
    assert machine_in_a_line(machine) == "A, 2 of 8 cores; load 1.2; PyTorch 2.6"
    machine["accelerator"] = "GPU"
    assert machine_in_a_line(machine).startswith("GPU, A, 2 of 8 cores")
    assert machine_in_a_line(describe_machine())
