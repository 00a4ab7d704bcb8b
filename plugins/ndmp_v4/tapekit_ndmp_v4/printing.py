"""How commands print names and values; all else is ``tapekit.console``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.console import say

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["say_pairs"]


def say_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, the names flush right before the colon."""
    listed = list(pairs)
    width = max(len(name) for name, _ in listed)
    for name, value in listed:
        say(f"{name:>{width}}: {value}".rstrip())
