"""A report of the machine and the versions a run used."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any

import torch

_PACKAGES = (
    "yolov7", "torch", "torchvision", "numpy", "fvcore", "timm", "opencv-python-headless",
    "opencv-python", "pycocotools", "hotcoco", "detectron2",
)  # fmt: skip


def collect_environment() -> str:
    """Describe the machine and the installed packages, a line each, for logs and bug reports."""
    rows = [
        ("system", platform.platform()),
        ("processor", f"{_processor()}, {os.cpu_count()} logical cores"),
        ("python", platform.python_version()),
        ("torch threads", str(torch.get_num_threads())),
        ("gpu", _gpus()),
        *((name, _version(name)) for name in _PACKAGES),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, threads, load, accelerator and versions as plain values, for JSON."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_average": list(os.getloadavg()),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def machine_in_a_line(machine: Mapping[str, Any]) -> str:
    """What `describe_machine` gives, in words, for a line below or above measured times."""
    accelerator = f"{machine['accelerator']}, " if machine["accelerator"] else ""
    return (
        f"{accelerator}{machine['processor']}, {machine['torch_threads']} of {machine['cores']} "
        f"cores; load {machine['load_average'][0]:.1f}; PyTorch {machine['torch']}"
    )


def available_cores(quota_file: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Count the cores that this process may use: of its affinity and its container's quota.

    Args:
        quota_file: where Linux keeps the quota of a control group (version 2).
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        with open(quota_file, encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _gpus() -> str:
    if not torch.cuda.is_available():
        return "none"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (CUDA {torch.version.cuda})"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
