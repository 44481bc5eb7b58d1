"""Suggestions for names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

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
        text += f" There are: {', '.join(names)}."
    return text
