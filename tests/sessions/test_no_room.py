"""Incremental backups of a volume that has no room for its Snapshot copy."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from session_stack import new_site
from tapekit.errors import TapekitError
from tapekit.testing import MemoryServices, MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit.kernel import StackKernel

VOLUME = "/vs1/vol1"


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Path]:
    """A folder for Snapshot copies on a file system of a mebibyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    place = tmp_path / "narrow"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def back_up(kernel: StackKernel, level: int) -> bytes:
    sink = MemorySink()
    pairs = [("FILESYSTEM", VOLUME), ("LEVEL", str(level))]
    with closing(kernel.engines["dump"].prepare_backup(pairs, "a test")) as job:
        job.run(sink, MemoryServices())
    return sink.data


@pytest.mark.requirement("R248")
def test_an_increment_without_room_works_once_there_is_some(tmp_path: Path, narrow: Path) -> None:
    def edit(text: str) -> str:
        line = 'snapshots = "copy"'
        return text.replace(line, f'{line}\nsnapshot_directory = "{narrow}"')

    kernel = new_site(tmp_path / "site", edit)
    volume = tmp_path / "site/volumes/vs1/vol1"
    (volume / "small").write_bytes(b"small")
    back_up(kernel, 0)
    (volume / "large").write_bytes(b"grown" * 600_000)
    with pytest.raises(TapekitError) as failed:
        back_up(kernel, 1)
    assert failed.value.id == "snap_copy.no-room"
    assert "room" in failed.value.advice
    assert list(narrow.glob("snapshot*")) == []
    subprocess.run(["mount", "-o", "remount,size=20m", narrow], check=True)
    assert b"grown" * 200 in back_up(kernel, 1)
