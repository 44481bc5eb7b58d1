"""What a pickle gets in place of the functions that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Answer:
    """Stands for a function of the file, for one call; no instruction of a pickle can change it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("it changes how its values are made")
