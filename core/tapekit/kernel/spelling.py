"""Words that a misspelt one may have been meant for."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["similar"]


def similar(word: str, words: Iterable[str]) -> str:
    """Up to three of ``words``, the likeliest first, or ``none``."""
    return ", ".join(difflib.get_close_matches(word, sorted(set(words)), n=3)) or "none"
