"""Event storage and writers, hooks, evaluators, files, processes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain import attempt, plain

from yolov7 import d2


def case_events(folder: Path) -> Any:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(" ".join(record.getMessage().split()))

    lines: list[str] = []
    logging.getLogger().addHandler(Lines())
    logging.getLogger().setLevel(logging.INFO)
    path = folder / "metrics.json"
    before = attempt(d2.get_event_storage)
    with d2.EventStorage(5) as storage:
        writers = [d2.JSONWriter(str(path), 4), d2.CommonMetricPrinter(12, 4)]
        for iteration in range(5, 12):
            storage.iter = iteration
            storage.put_scalars(total_loss=iteration**2, time=0.5, data_time=0.25)
            storage.put_scalar("lr", 0.1 * iteration, smoothing_hint=False)
            if iteration == 7:
                storage.put_scalar("late", 3, cur_iter=6)
            with storage.name_scope("scope/"):
                storage.put_scalar("[metric]m", torch.tensor(2.0))
            if iteration % 3 == 1:
                for writer in writers:
                    writer.write()
        storage.step()
        writers[1].write()
        storage.put_image("i", np.zeros((3, 2, 2)))
        storage.put_histogram("h", torch.tensor([1.0, 2.0, 4.0]), bins=3)
        results = [
            storage.iter == storage.iteration == 12,
            plain(storage.latest()),
            plain(storage.latest_with_smoothing_hint(3)),
            [plain(storage.smoothing_hints()), sorted(storage.histories())],
            [storage.count_samples("time", 3), storage.history("time").latest()],
            attempt(storage.put_scalar, "lr", 1.0),
            attempt(storage.history, "absent"),
            [len(storage._vis_data), plain(storage._histograms)],
            [d2.has_event_storage(), d2.get_event_storage() is storage],
            attempt(d2.EventWriter().write),
        ]
        for writer in writers:
            writer.close()
    printed = [line for line in lines if "iter:" in line]
    # The order of lines in one call of write is not part of the format.
    written = sorted(path.read_text().splitlines())
    return [before, d2.has_event_storage(), results, printed, written]


def case_rest(folder: Path) -> Any:
    hook, evaluator = d2.HookBase(), d2.DatasetEvaluator()
    calls = (hook.before_train, hook.after_train, hook.before_step, hook.after_backward,
             hook.after_step, hook.state_dict, evaluator.reset, evaluator.evaluate)  # fmt: skip
    file = str(folder / "f.txt")
    with d2.PathManager.open(file, "w") as opened:
        opened.write("x")
    return [
        [attempt(call) for call in calls] + [attempt(evaluator.process, [], []), hook.trainer],
        [d2.PathManager.isfile(file), d2.PathManager.exists(file + "2")],
        [d2.get_rank(), d2.get_world_size(), d2.get_local_rank(), d2.get_local_size()],
        [d2.is_main_process(), d2.synchronize(), d2.all_gather(3), d2.gather("a")],
        [attempt(d2.reduce_dict, {"a": torch.ones(())}), isinstance(d2.shared_random_seed(), int)],
        [attempt(d2.create_local_process_group, 2)],
        [d2.Registry.__module__, d2.Transform.__module__],
    ]
