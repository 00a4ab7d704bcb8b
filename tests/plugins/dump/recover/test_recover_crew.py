"""Small files made beside the thread that reads."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.data_engine import FileResult
from tapekit.testing.memory_connection import MemorySource
from tapekit_dump.recover_job import RecoverOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THREADS = pytest.mark.parametrize("threads", [0, 1, 3])


@THREADS
def test_every_file_of_many_directories_is_made(
    dump: Any, restore: Callable[..., Any], folder: Path, threads: int
) -> None:
    stream = dump().begin(9000).directory(2, [(b"d%d" % n, 3 + n) for n in range(4)])
    for n in range(4):
        names = [(b"f%d" % m, 100 + 300 * n + m) for m in range(300)]
        stream.directory(3 + n, names, parent=2)
    for n in range(4):
        for m in range(300):
            stream.file(100 + 300 * n + m, b"%d/%d" % (n, m), 0o600 + n)
    outcome = restore(stream.end(), options=RecoverOptions(threads=threads))
    assert outcome.error is None
    assert outcome.kernel.events[-1].facts["objects"] == 1200
    for n in range(4):
        for path in (folder / f"d{n}").iterdir():
            assert path.read_text() == f"{n}/{path.name[1:]}"
            assert path.stat().st_mode & 0o7777 == 0o600 + n


@THREADS
def test_modes_do_not_depend_on_the_umask(
    dump: Any, restore: Callable[..., Any], folder: Path, threads: int
) -> None:
    modes = [0o777, 0o666, 0o600, 0o444, 0o000, 0o7777, 0o2755, 0o1644]
    stream = dump().begin().directory(2, [(b"%o" % mode, 3 + n) for n, mode in enumerate(modes)])
    for n, mode in enumerate(modes):
        stream.file(3 + n, b"x", mode)
    for umask in (0o022, 0o077, 0o000):
        before = os.umask(umask)
        try:
            outcome = restore(stream.data, options=RecoverOptions(threads=threads))
        finally:
            os.umask(before)
        assert outcome.told() == []
        assert {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()} == {
            f"{mode:o}": mode for mode in modes
        }


def removing(folder: Path, after: int) -> Callable[[int, bytes], MemorySource]:
    """Makes a source that removes a folder once it has given some records."""

    class RemovingSource(MemorySource):
        def get(self) -> Any:
            if self.taken == after:
                shutil.rmtree(folder)
            return super().get()

    return lambda _, part: RemovingSource(part, cuts=[1024], per_batch=1)


@THREADS
def test_a_directory_that_somebody_removes_meanwhile(
    dump: Any, restore: Callable[..., Any], select: Any, folder: Path, threads: int
) -> None:
    stream = dump().begin().directory(2, [(b"a", 3), (b"d", 4), (b"z", 5)])
    stream.directory(4, [(b"f", 6), (b"g", 7)]).directory(5).file(3, b"a" * 5000)
    at = len(stream.data) // 1024
    data = stream.file(6, b"f").file(7, b"g").end()
    outcome = restore(
        data,
        [select("d", "/vs1/vol1/d"), select("a", "/vs1/vol1/a"), select("z", "/vs1/vol1/z")],
        options=RecoverOptions(threads=threads, open_directories=4),
        make=removing(folder / "d", at),
    )
    assert outcome.error.id == "dump.restore-incomplete"
    assert [result for _, result in outcome.results] == [
        FileResult.NO_DIRECTORY,
        FileResult.SUCCESSFUL,
        FileResult.SUCCESSFUL,
    ]
    told = "\n".join(outcome.told())
    assert "/d/f could not be restored: No such file or directory" in told
    assert "/d/g could not be restored" in told
    assert not (folder / "d").exists()


def test_a_directory_that_is_gone_when_its_turn_comes(
    dump: Any, restore: Callable[..., Any], folder: Path
) -> None:
    stream = dump().begin().directory(2, [(b"d%d" % n, 3 + n) for n in range(9)])
    for n in range(9):
        stream.directory(3 + n, [(b"f", 50 + n)])
    stream.file(50, b"x")
    at = len(stream.data) // 1024
    for n in range(1, 9):
        stream.file(50 + n, b"x")
    outcome = restore(
        stream.end(),
        options=RecoverOptions(threads=0, open_directories=4),
        make=removing(folder / "d2", at),
    )
    told = "\n".join(outcome.told())
    assert "/d2/f could not be restored" in told
    assert "The directory /d2 could not be made" in told
    assert sum((folder / f"d{n}/f").exists() for n in range(9)) == 8
