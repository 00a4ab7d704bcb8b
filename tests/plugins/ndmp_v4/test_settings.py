"""How many sessions a server has."""

from __future__ import annotations

import pytest

from tapekit_ndmp_v4.settings import NdmpV4Settings, SessionLimits, limits_for_memory

GB = 10**9

SMALL = SessionLimits(ndmp=8, dump=4, smtape=6)
MIDDLE = SessionLimits(ndmp=20, dump=16, smtape=16)
LARGE = SessionLimits(ndmp=36, dump=32, smtape=32)


@pytest.mark.requirement("R207")
@pytest.mark.requirement("R208")
@pytest.mark.requirement("R209")
@pytest.mark.parametrize(
    ("memory", "limits"),
    [
        (1 * GB, SMALL),
        (8 * GB, SMALL),
        (16 << 30, MIDDLE),
        (20 << 30, MIDDLE),
        (24 << 30, LARGE),
        (512 << 30, LARGE),
    ],
)
def test_sessions_follow_the_memory(memory: int, limits: SessionLimits) -> None:
    assert limits_for_memory(memory) == limits


@pytest.mark.parametrize(("memory", "limits"), [(15_700 << 20, MIDDLE), (23_600 << 20, LARGE)])
def test_memory_that_the_kernel_keeps_back_does_not_count(
    memory: int, limits: SessionLimits
) -> None:
    """A machine of 16 GB reports a little less than that."""
    assert limits_for_memory(memory) == limits


def test_what_is_set_counts_and_the_memory_for_the_rest() -> None:
    assert NdmpV4Settings(dump_sessions=2).limits(8 * GB) == SMALL._replace(dump=2)
    assert NdmpV4Settings(sessions=1, smtape_sessions=9).limits(8 * GB) == SessionLimits(
        ndmp=1, dump=4, smtape=9
    )


@pytest.mark.parametrize(("butype", "limit"), [("dump", 4), ("smtape", 6), ("tar", None)])
def test_engines_have_limits_of_their_own(butype: str, limit: int | None) -> None:
    assert SMALL.of_engine(butype) == limit
