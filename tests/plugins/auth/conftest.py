"""A name service in memory, for users of directories."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryNames:
    """Users and the login passwords that the service shows for them."""

    def __init__(self, **shown: str) -> None:
        self.shown = shown

    def mark(self, user: str) -> bytes | None:
        if user not in self.shown:
            return None
        return hashlib.sha256(self.shown[user].encode()).digest()


@pytest.fixture
def memory_names() -> Callable[..., MemoryNames]:
    """Makes a name service with users and what it shows for their passwords."""
    return MemoryNames
