"""Finding config files: by path, or by their place below `configs/`."""

from __future__ import annotations

from pathlib import Path

from yolov7.utils.names import closest
from yolov7.utils.resources import resource_root

_YAML = (".yaml", ".yml")
_SUFFIXES = (*_YAML, ".py")


def find_config(name: str | Path, *, folder: Path = Path()) -> Path:
    """Find a config file.

    Looked for in `folder`, in `configs/` of the working directory, and among the framework's own
    configs, in this order; the suffix of a YAML may be left out (a `.py` is a program and is run
    only when it is named in full). So `digits/yolox_nano` is found from anywhere, and so is
    `configs/digits/yolox_nano.yaml`.

    Args:
        name: path or name.
        folder: what a path is relative to: the working directory, or the folder of the config
            that names this one as its base.

    Returns:
        The file; where there is none, the path in `folder`, for the error message.
    """
    path = Path(name).expanduser()
    if not path.name:
        return folder / path
    suffixes = ("",) if path.suffix in _SUFFIXES else ("", *_YAML)
    for root in (folder, Path("configs"), resource_root() / "configs", resource_root()):
        for suffix in suffixes:
            file = root / path.with_name(f"{path.name}{suffix}")
            if file.is_file():
                return file
    return folder / path


def config_names() -> list[str]:
    """Names of the framework's own configs, such as `digits/yolox_nano`."""
    configs = resource_root() / "configs"
    files = (file.relative_to(configs) for file in configs.rglob("*.yaml"))
    return sorted(file.with_suffix("").as_posix() for file in files if file.parts[0] != "_base_")


def suggest_config(path: Path) -> str:
    """Say which config was probably meant instead of a file that does not exist."""
    siblings = path.parent.glob("*.*") if path.parent.is_dir() else ()
    near = closest(path.name, [file.name for file in siblings if file.suffix in _SUFFIXES])
    names = config_names()
    near = near or closest(path.with_suffix("").as_posix(), names)
    text = f" Did you mean '{near}'?" if near else ""
    return f"{text} Known by name: {', '.join(names)}."
