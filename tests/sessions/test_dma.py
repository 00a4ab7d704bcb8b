"""Backups, restores and cartridges of the data management application.

The stack serves in a thread, and the commands run in this process, since
starting processes would make most of the time. They have a stack file of their
own, as on another machine.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from session_stack import ServedStack, new_site, serving
from tapekit.cli import Shell, execute
from tapekit.kernel import assemble, installed
from tapekit_trees.comparing import compare_trees
from tapekit_vtape.library import Library
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from tapekit.kernel import StackKernel

VOLUME: Final = "/vs1/vol1"
CAPACITY: Final = 4_000_000
WARNING: Final = 300_000
PATIENCE_S: Final = 60
STACK_FILE: Final = """
plugins = ["ndmp_v4", "dma"]

[dma.servers.filer]
host = "127.0.0.1"
port = {port}
user = "ndmp"
password_file = "password"

[dma.servers.tapes]
host = "127.0.0.1"
port = {port}
user = "ndmp"
password_file = "password"

[dma.media_sets.weekly]
server = "{tapes}"
barcodes = ["{barcodes}"]
retention_days = {days}
retention_copies = {copies}

[dma.jobs.vol1]
server = "filer"
path = "/vs1/vol1"
media_set = "weekly"
"""


class Application:
    """The data management application beside a stack that serves."""

    def __init__(self, stack: ServedStack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        directory.mkdir()
        password = directory / "password"
        password.touch(mode=0o600)
        password.write_bytes(stack.password)
        self.set()

    def set(
        self,
        *,
        days: int = 30,
        copies: int = 1,
        tapes: str = "filer",
        barcodes: str = "VT000[1-4]",
    ) -> None:
        """Write the stack file."""
        text = STACK_FILE.format(
            port=self.stack.port, days=days, copies=copies, tapes=tapes, barcodes=barcodes
        )
        (self.directory / "tapekit.toml").write_text(text)

    def command(self, *words: str) -> Sequence[str]:
        file = str(self.directory / "tapekit.toml")
        return (sys.executable, "-m", "tapekit", *words, "--stack", file)

    def does(self, *words: str) -> str:
        """A command that succeeds; gives what it printed."""
        status, out, err = self.ends(*words)
        assert status == 0, err
        return out

    def cannot(self, error: str, *words: str) -> str:
        """A command that fails with an error; gives what it said of it."""
        status, _, err = self.ends(*words)
        assert status == 1
        assert f"(tapekit explain dma.{error})" in err, err
        return err

    def ends(self, *words: str) -> tuple[int, str, str]:
        file = str(self.directory / "tapekit.toml")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = execute((*words, "--stack", file), Shell(installed, {}, time.time))
        return status, out.getvalue(), err.getvalue()

    def told(self, *words: str) -> Any:
        return json.loads(self.does(*words, "--json"))

    def states(self) -> dict[str, str]:
        """What may be done with each cartridge."""
        return {row["cartridge"]: row["state"] for row in self.told("media", "list")}


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """An application and a server with small cartridges."""
    # Nobody is at a terminal.
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    directory = tmp_path / "site"
    new_site(directory)
    # Increments go by the times of real files.
    kernel = assemble(directory / "tapekit.toml", installed(), clock=time.time)
    shutil.rmtree(directory / "vtape")
    small = VtapeSettings(capacity_bytes=CAPACITY, early_warning_bytes=WARNING)
    Library(directory / "vtape", small).create("S1", [f"VT000{n}" for n in range(1, 9)])
    with served_elsewhere(directory, kernel) as stack:
        yield Application(stack, tmp_path / "application")


@contextlib.contextmanager
def served_elsewhere(directory: Path, kernel: StackKernel) -> Iterator[ServedStack]:
    """Run a kernel in a thread for the time of the block."""
    served: Future[tuple[ServedStack, trio.lowlevel.TrioToken, trio.Event]] = Future()

    async def serve() -> None:
        async with serving(directory, kernel) as stack:
            end = trio.Event()
            served.set_result((stack, trio.lowlevel.current_trio_token(), end))
            await end.wait()

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(trio.run, serve)
        wait((served, done), timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
        if done.done():
            done.result()
        stack, token, end = served.result(timeout=0)
        try:
            yield stack
        finally:
            token.run_sync_soon(end.set)
            done.result(timeout=PATIENCE_S)


def fill(volume: Path, files: int = 5) -> None:
    (volume / "dir").mkdir()
    for number in range(files):
        (volume / "dir" / f"file{number}").write_bytes(os.urandom(1_500_000))
    (volume / "small").write_text("small")


def change(volume: Path) -> None:
    (volume / "dir" / "file1").write_bytes(os.urandom(100_000))
    (volume / "dir" / "file2").unlink()
    (volume / "new").write_text("new")


def taken_away(application: Application, name: str) -> Path:
    """What was restored into the volume, moved out of it."""
    away = application.directory / name
    (application.stack.volume / name).rename(away)
    return away


def library(application: Application) -> Library:
    return Library(application.stack.directory / "vtape", VtapeSettings())


@pytest.mark.parametrize("tapes", ["filer", "tapes"], ids=["local", "three-way"])
def test_a_chain_over_several_cartridges_comes_back(application: Application, tapes: str) -> None:
    application.set(tapes=tapes, barcodes="VT*")
    volume = application.stack.volume
    fill(volume)
    full = application.told("backup", "run", "vol1")
    assert len(full["parts"]) == 3
    change(volume)
    increment = application.told("backup", "run", "vol1", "--level", "incremental")
    assert increment["backup"]["level"] == 1
    assert increment["backup"]["base"] == full["backup"]["number"]
    # Files that changed in the second of the full backup are taken again.
    part = increment["parts"][0]
    assert (part["barcode"], part["file"]) == (full["parts"][-1]["barcode"], 3)
    files = (f"{VOLUME}/dir/file1", f"{VOLUME}/dir/file4")
    application.does("restore", *files, "--to", f"{VOLUME}/direct")
    direct = taken_away(application, "direct")
    for name in ("file1", "file4"):
        assert (direct / "dir" / name).read_bytes() == (volume / "dir" / name).read_bytes()
    application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    back = taken_away(application, "back")
    assert [str(each) for each in compare_trees(volume, back) if each.path != "."] == []
    assert "no problems" in application.does("catalog", "verify")


def test_the_catalogue_finds_files_and_tells_where_they_are(
    application: Application,
) -> None:
    fill(application.stack.volume, files=1)
    application.does("backup", "run", VOLUME, "--server", "filer", "--set", "weekly")
    (match,) = application.told("catalog", "find", "file?")
    assert match["path"] == f"{VOLUME}/dir/file0"
    assert match["size"] == 1_500_000
    assert application.told("catalog", "find", "dir/*") == [match]
    assert (application.told("catalog", "show", "1"))["parts"][0]["file"] == 1
    (step,) = application.told("restore", match["path"], "--list")
    assert [each["path"] for each in step["found"] or []] == ["dir/file0"]
    assert not (application.stack.volume / "back").exists()
    application.cannot("no-such-file", "restore", f"{VOLUME}/none", "--to", VOLUME)
    application.cannot("nothing-found", "catalog", "find", "nothing")


def test_a_cartridge_that_is_not_as_expected_is_not_written_to(
    application: Application,
) -> None:
    """One has something else on it from the start, one gets it afterwards."""
    fill(application.stack.volume, files=1)
    trio.run(write_first_record, application, "VT0001", b"of somebody else")
    first = application.told("backup", "run", "vol1")
    assert first["parts"][0]["barcode"] != "VT0001"
    assert (application.states())["VT0001"] == "suspect"
    barcode = first["parts"][0]["barcode"]
    trio.run(write_first_record, application, barcode, b"written over")
    second = application.told("backup", "run", "vol1")
    assert second["parts"][0]["barcode"] not in {"VT0001", barcode}
    assert trio.run(first_record, application, "VT0001") == b"of somebody else"
    assert trio.run(first_record, application, barcode) == b"written over"
    said = application.cannot(
        "wrong-label", "restore", VOLUME, "--from", "1", "--to", f"{VOLUME}/back"
    )
    assert barcode in said


def test_what_has_expired_is_reused_and_what_is_kept_is_not(
    application: Application,
) -> None:
    fill(application.stack.volume)
    (application.stack.volume / "dir" / "file4").unlink()
    (application.stack.volume / "dir" / "file3").unlink()
    application.does("backup", "run", "vol1")
    application.does("backup", "run", "vol1")
    said = application.cannot("backup-failed", "backup", "run", "vol1")
    assert "no cartridge of weekly in the library can be written to" in said
    application.set(days=0, copies=1)
    third = application.told("backup", "run", "vol1")
    numbers = [
        each["number"] for each in application.told("catalog", "list") if each["state"] == "good"
    ]
    assert numbers == [2, third["backup"]["number"]]
    application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    back = taken_away(application, "back")
    assert [
        str(each) for each in compare_trees(application.stack.volume, back) if each.path != "."
    ] == []


def test_a_run_that_is_killed_has_failed_and_the_next_one_works(
    application: Application,
) -> None:
    volume = application.stack.volume
    fill(volume)
    with subprocess.Popen(
        application.command("backup", "run", "vol1"), stderr=subprocess.PIPE
    ) as run:
        assert run.stderr is not None
        # It has begun to write when it says so.
        assert any(b"writing to VT000" in line for line in run.stderr)
        run.kill()
    done = application.told("backup", "run", "vol1")
    states = {each["number"]: each["state"] for each in application.told("catalog", "list")}
    assert states == {1: "failed", done["backup"]["number"]: "good"}
    application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    back = taken_away(application, "back")
    assert [str(each) for each in compare_trees(volume, back) if each.path != "."] == []


def test_a_backup_that_the_server_refuses_is_told_in_its_words(
    application: Application,
) -> None:
    said = application.cannot("backup-failed", "backup", "run", "/vs1/none", "--server", "filer")
    assert "the server says: " in said
    (backup,) = application.told("catalog", "list")
    assert backup["state"] == "failed"
    assert backup["reason"] in said


def test_a_damaged_catalogue_is_told(application: Application) -> None:
    fill(application.stack.volume, files=1)
    application.does("backup", "run", "vol1")
    folder = application.directory / "catalogue"
    (folder / "index-1.sqlite").write_bytes(b"damaged" * 1000)
    _, out, _ = application.ends("catalog", "verify")
    assert "index-1.sqlite" in out
    application.cannot("index-unusable", "restore", f"{VOLUME}/small", "--to", VOLUME)
    application.does("catalog", "export", "weekly", "-o", str(folder / "copy.json"))
    for part in folder.glob("catalogue.sqlite*"):
        part.unlink()
    (folder / "catalogue.sqlite").write_bytes(b"damaged" * 1000)
    application.cannot("catalogue-unusable", "catalog", "list")
    (folder / "catalogue.sqlite").unlink()
    application.does("catalog", "import", str(folder / "copy.json"))
    application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    assert (application.stack.volume / "back" / "small").read_text() == "small"
    # An export has no file indexes; the cartridges have.
    found = application.told("media", "scan", "--rebuild")
    assert [each["verdict"] for each in found["backups"]] == ["known"]
    application.does("restore", f"{VOLUME}/small", "--to", f"{VOLUME}/direct")
    assert (application.stack.volume / "direct" / "small").read_text() == "small"


def test_cartridges_are_labelled_scanned_and_freed_by_hand(
    application: Application,
) -> None:
    application.does("media", "label", "VT0002")
    assert application.states() == {"VT0002": "empty"}
    application.cannot("cartridge-in-use", "media", "label", "VT0002")
    application.cannot("barcode-of-no-pattern", "media", "label", "VT0005")
    rows = {row["cartridge"]: row["verdict"] for row in application.told("media", "scan")}
    assert rows == {
        "VT0001": "not in use",
        "VT0002": "as expected",
        "VT0003": "not in use",
        "VT0004": "not in use",
    }
    fill(application.stack.volume, files=1)
    application.does("backup", "run", "vol1")
    assert application.states() == {"VT0002": "open"}
    application.does("media", "expire", "VT0002", "--yes")
    assert application.told("catalog", "list") == []
    assert application.states() == {"VT0002": "expired"}


@contextlib.asynccontextmanager
async def loaded(application: Application, barcode: str) -> AsyncIterator[Any]:
    """A session with a cartridge in the first drive, and nothing open."""
    from tapekit_dma.drive import Drive
    from tapekit_dma.robot import Robot

    async with application.stack.client() as client, application.stack.client() as mover:
        await Drive(client, "nrst0a", Robot(mover, "mc0", 0)).load(barcode)
        yield client


async def write_first_record(application: Application, barcode: str, data: bytes) -> None:
    from tapekit_ndmp_v4.client import tape
    from tapekit_ndmp_v4.messages import TapeWriteRequest
    from tapekit_ndmp_v4.numbers import TapeOpenMode

    async with loaded(application, barcode) as client:
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await tape.rewind(client)
        await client.call(TapeWriteRequest(data_out=data))
        await tape.write_filemarks(client, 1)
        await tape.close(client)


async def first_record(application: Application, barcode: str) -> bytes | None:
    from tapekit_dma.drive import Drive
    from tapekit_dma.robot import Robot

    async with application.stack.client() as client, application.stack.client() as mover:
        drive = Drive(client, "nrst0a", Robot(mover, "mc0", 0))
        await drive.load(barcode)
        return await drive.read_start()
