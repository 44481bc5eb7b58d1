import json
import os

import torch

from yolov7.utils.environment import collect_environment, describe_machine


def test_description_is_plain_and_true():
    found = json.loads(json.dumps(describe_machine()))
    assert found["cores"] == os.cpu_count()
    assert found["torch"] == torch.__version__
    assert found["torch_threads"] == torch.get_num_threads()
    assert len(found["load_average"]) == 3
    assert found["processor"]
    assert found["processor"] in collect_environment()
