"""Increments with IGNORE_CTIME from Snapshot copies, through a whole stack."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from session_stack import new_site, serving
from tapekit.births import birth_time_ns
from tapekit_ndmp_v4.client import BackupPlan, TapeAt, back_up

if TYPE_CHECKING:
    from pathlib import Path

    from session_stack import ServedStack

SIZE = 1 << 20
SECOND = 10**9


async def bytes_dumped(stack: ServedStack, **variables: str) -> int:
    environment = {"FILESYSTEM": "/vs1/vol1", "UPDATE": "Y", **variables}
    plan = BackupPlan(tape=TapeAt("nrst0a"), environment=tuple(environment.items()))
    async with stack.client() as client:
        return (await back_up(client, plan)).bytes_processed


def second_of_birth(file: Path) -> int:
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        born = birth_time_ns(os.fsencode(file.name), directory)
    finally:
        os.close(directory)
    if born is None:
        pytest.skip("this file system keeps no times of birth")
    return born // SECOND


def let_the_second_pass(file: Path) -> None:
    """What is made in the second that a backup's data stands for, the last
    one that had ended, counts as made after it.
    """
    born = second_of_birth(file)
    while file.stat().st_ctime_ns // SECOND <= born + 1:
        os.utime(file, (0, 0))


@pytest.mark.requirement("R140")
async def test_a_copied_snapshot_tells_old_files_from_new_ones(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, now=time.time)
    async with serving(directory, kernel) as stack:
        old = stack.volume / "old"
        old.write_bytes(bytes(SIZE))
        let_the_second_pass(old)
        assert await bytes_dumped(stack, LEVEL="0") > SIZE
        assert list(kernel.snapshot_methods) == ["copy"]
        old.chmod(0o600)
        assert await bytes_dumped(stack, LEVEL="1", IGNORE_CTIME="Y") < SIZE
        assert await bytes_dumped(stack, LEVEL="1", IGNORE_CTIME="N") > SIZE
        # A new file that says it is old is in, for all that.
        (stack.volume / "new").write_bytes(bytes(SIZE))
        os.utime(stack.volume / "new", (0, 0))
        assert SIZE < await bytes_dumped(stack, LEVEL="2", IGNORE_CTIME="Y") < 2 * SIZE
