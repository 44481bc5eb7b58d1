"""The command line of training: detectron2's flags, and a replay."""

from __future__ import annotations

import argparse

from yolov7.utils.cli import add_debug_argument

_EPILOG = """examples:
  train on one GPU:      python train_net.py --config-file configs/coco/yolox_s.yaml
  on eight GPUs:         python train_net.py --config-file F --num-gpus 8
  on the CPU:            python train_net.py --config-file F --num-gpus 0
  change keys:           python train_net.py --config-file F SOLVER.BASE_LR 0.005 OUTPUT_DIR out/a
  go on after a kill:    python train_net.py --config-file F --resume
  evaluate weights:      python train_net.py --config-file F --eval-only MODEL.WEIGHTS model.pth
  two CPU processes:     torchrun --nproc-per-node 2 train_net.py --config-file F MODEL.DEVICE cpu
  two machines:          the same command on both, with --num-machines 2 --machine-rank 0 (or 1)
                         --dist-url tcp://FIRST_MACHINE:29500

Under torchrun, the flags --num-gpus, --num-machines, --machine-rank and --dist-url are ignored.
Exit codes: 0 done; 1 an error; 128 + n stopped by signal n after saving a checkpoint.
"""


def default_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of `train_net.py`; scripts of your own may add to it."""
    parser = argparse.ArgumentParser(
        description="Train or evaluate the model of a config.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config-file", default=None, metavar="FILE", help="a YAML config")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in OUTPUT_DIR; where there is none, start",
    )
    parser.add_argument("--eval-only", action="store_true", help="evaluate, do not train")
    parser.add_argument(
        "--replay",
        metavar="FOLDER",
        help="repeat a step whose loss was not finite, from the folder that training wrote",
    )
    parser.add_argument(
        "--num-gpus", type=int, default=1, help="GPUs of each machine (default 1); 0 is the CPU"
    )
    parser.add_argument("--num-machines", type=int, default=1, help="number of machines")
    parser.add_argument("--machine-rank", type=int, default=0, help="this machine's number, from 0")
    parser.add_argument(
        "--dist-url",
        default="auto",
        help="where the processes meet: tcp://HOST:PORT; 'auto' on a single machine",
    )
    add_debug_argument(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs that change the config; last"
    )
    return parser
