"""Names that a user gives: looking them up, suggestions for those that do not exist, lists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from yolov7.utils.errors import ConfigError

Value = TypeVar("Value")

_MOST_LISTED = 12


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` is most likely a misspelling of, or None."""
    by_folded = {candidate.lower(): candidate for candidate in sorted(candidates)}
    close = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def suggest(name: str, candidates: Iterable[str]) -> str:
    """Say which existing name was probably meant, ready to be appended to an error message.

    Args:
        name: the name that was not found.
        candidates: the names that exist.

    Returns:
        `" Did you mean 'x'?"` when one is close, followed by the list of what exists when that
        list is short; an empty string when there are no candidates.
    """
    names = sorted(set(candidates))
    near = closest(name, names)
    text = f" Did you mean '{near}'?" if near else ""
    if 0 < len(names) <= _MOST_LISTED:
        text += f" There are: {', '.join(name or repr(name) for name in names)}."
    return text


def look_up(table: Mapping[str, Value], name: str, key: str) -> Value:
    """What a table holds under a name that a config gives.

    Args:
        table: {name: value}.
        name: the name to find.
        key: the config key that holds the name, for the error message.

    Raises:
        ConfigError: the table has no such name; the message suggests the nearest one.
    """
    if name not in table:
        raise ConfigError(f"{key}: there is no '{name}'.{suggest(name, table)}")
    return table[name]


def listed(names: Sequence[object], *, most: int = 8) -> str:
    """Names for a message: the first ones, and how many more there are; "nothing" for none."""
    text = ", ".join(str(name) for name in names[:most])
    more = len(names) - most
    return f"{text} and {more} more" if more > 0 else text or "nothing"
