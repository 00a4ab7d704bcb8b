"""How many sessions a server has."""

from __future__ import annotations

import pytest

from tapekit_ndmp_v4.settings import sessions_for_memory

GB = 10**9


@pytest.mark.requirement("R207")
@pytest.mark.parametrize(
    ("memory", "sessions"),
    [(1 * GB, 8), (8 * GB, 8), (16 << 30, 20), (20 << 30, 20), (24 << 30, 36), (512 << 30, 36)],
)
def test_sessions_follow_the_memory(memory: int, sessions: int) -> None:
    assert sessions_for_memory(memory) == sessions


@pytest.mark.parametrize(("memory", "sessions"), [(15_700 << 20, 20), (23_600 << 20, 36)])
def test_memory_that_the_kernel_keeps_back_does_not_count(memory: int, sessions: int) -> None:
    """A machine of 16 GB reports a little less than that."""
    assert sessions_for_memory(memory) == sessions
