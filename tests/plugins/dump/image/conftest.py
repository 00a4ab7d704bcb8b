"""Images made record by record, and the command line that reads them."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.plugins.dump.recover.conftest import DumpStream

from tapekit.cli import execute
from tapekit.cli.shell import Shell
from tapekit.testing import MemoryServices, MemorySink
from tapekit_dump.plugin import DumpPlugin
from tapekit_trees.epochs import VOLUME, EpochStorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIPE_BYTES = 1 << 20
FIFO = 0o010000
LINK = 0o120000
DEVICE = 0o020000


class Outcome(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def losses(self) -> list[str]:
        """What was told before the command ended with an error."""
        told = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return [line.removeprefix("error: ") for line in told][: -1 if self.status else None]


def example(order: str = "<", **options: Any) -> DumpStream:
    """A tree with everything, without its end: two directories, a file with
    two names and one with a hole, a symbolic link, a fifo, a device.
    """
    stream = DumpStream(order, **options)
    stream.begin(level=0, host=b"alpha", filesystem=b"/data", label=b"demo", records_per_block=10)
    stream.directory(2, [(b"docs", 3, 4), (b"hello", 4, 8), (b"here", 6, 10), (b"pipe", 7, 1)])
    stream.directory(3, [(b"again", 4, 8), (b"sparse", 5, 8), (b"tty", 8, 2)], mode=0o700)
    owner = {"uid": 1000, "gid": 100, "mtime_s": 1_600_000_000}
    stream.file(4, b"hello, world\n", 0o640, links=2, **owner)
    stream.object(5, 0o100644, b"x" * 1024 + b"y" * 10, present=b"\1\0\1", size=2058, **owner)
    stream.object(6, LINK | 0o777, b"docs/again", **owner)
    stream.object(7, FIFO | 0o600, **owner)
    stream.object(8, DEVICE | 0o620, device=0x501, **owner)
    return stream


@pytest.fixture
def stream() -> Callable[..., DumpStream]:
    """Makes the example in any byte order and form."""
    return example


@pytest.fixture
def dump() -> type[DumpStream]:
    """Makes streams: ``dump().begin().directory(2, ...)....end()``."""
    return DumpStream


@pytest.fixture
def image(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes an image to a file; gives its name."""

    def write(data: bytes) -> str:
        path = tmp_path / "image.dump"
        path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture
def tapekit_dump(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    available: Callable[..., Any],
) -> Callable[..., Outcome]:
    """Runs ``tapekit dump`` with no stack anywhere; ``piped`` comes in by a pipe."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, piped: bytes | None = None) -> Outcome:
        shell = Shell(lambda: [available(DumpPlugin)], {}, lambda: 0.0)
        if piped is None:
            status = execute(("dump", *arguments), shell)
        else:
            reading, writing = os.pipe()
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            assert len(piped) <= PIPE_BYTES
            os.write(writing, piped)
            os.close(writing)
            with os.fdopen(reading) as stdin, monkeypatch.context() as patch:
                patch.setattr("sys.stdin", stdin)
                status = execute(("dump", *arguments), shell)
        return Outcome(status, *capsys.readouterr())

    return command


@pytest.fixture
def backed_up_folder(
    assembled: Callable[..., Any], plugin: Callable[..., Any]
) -> Callable[[Path], bytes]:
    """Backs a folder up with the engine."""

    def back_up(folder: Path) -> bytes:
        storage = EpochStorage(folder)
        directories = plugin("directories", tapekit_provide_storage=lambda self: storage)
        engine = assembled(DumpPlugin, directories).engines["dump"]
        sink = MemorySink()
        with closing(engine.prepare_backup([("FILESYSTEM", VOLUME)], "a test")) as job:
            job.run(sink, MemoryServices())
        return sink.data

    return back_up
