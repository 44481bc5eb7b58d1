from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "reference"


@pytest.fixture(scope="session")
def reference_module() -> Callable[[str], ModuleType]:
    """Imports a file of `tests/reference`, which may import its neighbours."""

    def load(name: str) -> ModuleType:
        sys.path.insert(0, str(REFERENCE))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(REFERENCE))

    return load
