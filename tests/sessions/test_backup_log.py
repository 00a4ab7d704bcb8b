"""The backup log of a served stack tells of its dumps, restores and tapes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, back_up, recover

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = "/vs1/vol1"
TIME = r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] \d\d:\d\d:\d\d UTC \d{4}"


def lines(directory: Path) -> list[str]:
    """The log with ``T`` for each time."""
    return re.sub(TIME, "T", (directory / "log" / "backup").read_text()).splitlines()


@pytest.mark.requirement("R301", "R304", "R308", "R309")
async def test_a_backup_and_its_restore_are_in_the_backup_log(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory)) as stack, stack.client() as client:
        (stack.volume / "file").write_bytes(b"content" * 1000)
        environment = (("FILESYSTEM", VOLUME), ("HIST", "Y"))
        backup = await back_up(client, BackupPlan(tape=TapeAt("nrst0a"), environment=environment))
        names = (m.Name(original_path="", destination_path=f"{VOLUME}/back"),)
        await recover(
            client, RecoverPlan(parts=backup.parts, environment=backup.environment, names=names)
        )
    size = -(-backup.bytes_processed // 1024)
    told = lines(directory)
    assert told[:10] == [
        "log T Start_Logging",
        f"dmp T {VOLUME}(0) Start (Level 0, NDMP)",
        f"dmp T {VOLUME}(0) Tape_open (nrst0a)",
        f"dmp T {VOLUME}(0) Options (FILESYSTEM={VOLUME}, HIST=Y)",
        f"dmp T {VOLUME}(0) Snapshot (snapshot_for_backup.0, T)",
        *(f"dmp T {VOLUME}(0) Phase-change ({phase})" for phase in ("I", "II", "III", "IV", "V")),
    ]
    assert told[10] == f"dmp T {VOLUME}(0) End ({size} KB)"
    assert told[11] == f"dmp T {VOLUME}(0) Tape_close (nrst0a)"
    start, *_, end, closed = told[12:]
    assert closed == f"rst T {VOLUME}/back Tape_close (nrst0a)"
    assert start == f"rst T {VOLUME}/back Start (Level 0, NDMP)"
    assert f"rst T {VOLUME}/back Tape_open (nrst0a)" in told
    assert re.fullmatch(rf"rst T {VOLUME}/back End \(1 files, \d+ KB\)", end)
