"""Backups, restores and cartridges of the data management application.

The stack serves in this process; the commands are processes of their own,
with a stack file of their own, as on another machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from session_stack import ServedStack, new_site, serving
from tapekit.kernel import assemble, installed
from tapekit_trees.comparing import compare_trees
from tapekit_vtape.library import Library
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

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

    async def does(self, *words: str) -> str:
        """A command that succeeds; gives what it printed."""
        status, out, err = await self.ends(*words)
        assert status == 0, err
        return out

    async def cannot(self, error: str, *words: str) -> str:
        """A command that fails with an error; gives what it said of it."""
        status, _, err = await self.ends(*words)
        assert status == 1
        assert f"(tapekit explain dma.{error})" in err, err
        return err

    async def ends(self, *words: str) -> tuple[int, str, str]:
        with trio.fail_after(PATIENCE_S):
            done = await trio.run_process(
                self.command(*words), capture_stdout=True, capture_stderr=True, check=False
            )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    async def told(self, *words: str) -> Any:
        return json.loads(await self.does(*words, "--json"))

    async def states(self) -> dict[str, str]:
        """What may be done with each cartridge."""
        return {row["cartridge"]: row["state"] for row in await self.told("media", "list")}


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    """An application and a server with small cartridges."""
    directory = tmp_path / "site"
    new_site(directory)
    # Increments go by the times of real files.
    kernel = assemble(directory / "tapekit.toml", installed(), clock=time.time)
    shutil.rmtree(directory / "vtape")
    small = VtapeSettings(capacity_bytes=CAPACITY, early_warning_bytes=WARNING)
    Library(directory / "vtape", small).create("S1", [f"VT000{n}" for n in range(1, 9)])
    async with serving(directory, kernel) as stack:
        yield Application(stack, tmp_path / "application")


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
async def test_a_chain_over_several_cartridges_comes_back(
    application: Application, tapes: str
) -> None:
    application.set(tapes=tapes, barcodes="VT*")
    volume = application.stack.volume
    fill(volume)
    full = await application.told("backup", "run", "vol1")
    assert len(full["parts"]) == 3
    change(volume)
    increment = await application.told("backup", "run", "vol1", "--level", "incremental")
    assert increment["backup"]["level"] == 1
    assert increment["backup"]["base"] == full["backup"]["number"]
    # Files that changed in the second of the full backup are taken again.
    part = increment["parts"][0]
    assert (part["barcode"], part["file"]) == (full["parts"][-1]["barcode"], 2)
    files = (f"{VOLUME}/dir/file1", f"{VOLUME}/dir/file4")
    await application.does("restore", *files, "--to", f"{VOLUME}/direct")
    direct = taken_away(application, "direct")
    for name in ("file1", "file4"):
        assert (direct / "dir" / name).read_bytes() == (volume / "dir" / name).read_bytes()
    await application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    back = taken_away(application, "back")
    assert [str(each) for each in compare_trees(volume, back) if each.path != "."] == []
    assert "no problems" in await application.does("catalog", "verify")


async def test_the_catalogue_finds_files_and_tells_where_they_are(
    application: Application,
) -> None:
    fill(application.stack.volume, files=1)
    await application.does("backup", "run", VOLUME, "--server", "filer", "--set", "weekly")
    (match,) = await application.told("catalog", "find", "file?")
    assert match["path"] == f"{VOLUME}/dir/file0"
    assert match["size"] == 1_500_000
    assert await application.told("catalog", "find", "dir/*") == [match]
    assert (await application.told("catalog", "show", "1"))["parts"][0]["file"] == 1
    (step,) = await application.told("restore", match["path"], "--list")
    assert [each["path"] for each in step["found"] or []] == ["dir/file0"]
    assert not (application.stack.volume / "back").exists()
    await application.cannot("no-such-file", "restore", f"{VOLUME}/none", "--to", VOLUME)
    await application.cannot("nothing-found", "catalog", "find", "nothing")


async def test_a_cartridge_that_is_not_as_expected_is_not_written_to(
    application: Application,
) -> None:
    """One has something else on it from the start, one gets it afterwards."""
    fill(application.stack.volume, files=1)
    await write_first_record(application, "VT0001", b"of somebody else")
    first = await application.told("backup", "run", "vol1")
    assert first["parts"][0]["barcode"] != "VT0001"
    assert (await application.states())["VT0001"] == "suspect"
    barcode = first["parts"][0]["barcode"]
    await write_first_record(application, barcode, b"written over")
    second = await application.told("backup", "run", "vol1")
    assert second["parts"][0]["barcode"] not in {"VT0001", barcode}
    assert await first_record(application, "VT0001") == b"of somebody else"
    assert await first_record(application, barcode) == b"written over"
    said = await application.cannot(
        "wrong-label", "restore", VOLUME, "--from", "1", "--to", f"{VOLUME}/back"
    )
    assert barcode in said


async def test_what_has_expired_is_reused_and_what_is_kept_is_not(
    application: Application,
) -> None:
    fill(application.stack.volume)
    (application.stack.volume / "dir" / "file4").unlink()
    (application.stack.volume / "dir" / "file3").unlink()
    await application.does("backup", "run", "vol1")
    await application.does("backup", "run", "vol1")
    said = await application.cannot("backup-failed", "backup", "run", "vol1")
    assert "no cartridge of weekly in the library can be written to" in said
    application.set(days=0, copies=1)
    third = await application.told("backup", "run", "vol1")
    numbers = [
        each["number"]
        for each in await application.told("catalog", "list")
        if each["state"] == "good"
    ]
    assert numbers == [2, third["backup"]["number"]]
    await application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    back = taken_away(application, "back")
    assert [
        str(each) for each in compare_trees(application.stack.volume, back) if each.path != "."
    ] == []


async def test_a_run_that_is_killed_has_failed_and_the_next_one_works(
    application: Application,
) -> None:
    volume = application.stack.volume
    fill(volume)
    process = await trio.lowlevel.open_process(
        application.command("backup", "run", "vol1"), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    # It has begun to write when it says so.
    with trio.fail_after(PATIENCE_S):
        said = b""
        while b"writing to VT000" not in said:
            more = await process.stderr.receive_some()
            assert more, said
            said += more
        process.kill()
        await process.wait()
    await process.stderr.aclose()
    done = await application.told("backup", "run", "vol1")
    states = {each["number"]: each["state"] for each in await application.told("catalog", "list")}
    assert states == {1: "failed", done["backup"]["number"]: "good"}
    await application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    back = taken_away(application, "back")
    assert [str(each) for each in compare_trees(volume, back) if each.path != "."] == []


async def test_a_backup_that_the_server_refuses_is_told_in_its_words(
    application: Application,
) -> None:
    said = await application.cannot(
        "backup-failed", "backup", "run", "/vs1/none", "--server", "filer"
    )
    assert "the server says: " in said
    (backup,) = await application.told("catalog", "list")
    assert backup["state"] == "failed"
    assert backup["reason"] in said


async def test_a_damaged_catalogue_is_told(application: Application) -> None:
    fill(application.stack.volume, files=1)
    await application.does("backup", "run", "vol1")
    folder = application.directory / "catalogue"
    (folder / "index-1.sqlite").write_bytes(b"damaged" * 1000)
    _, out, _ = await application.ends("catalog", "verify")
    assert "index-1.sqlite" in out
    await application.cannot("index-unusable", "restore", f"{VOLUME}/small", "--to", VOLUME)
    await application.does("catalog", "export", "weekly", "-o", str(folder / "copy.json"))
    for part in folder.glob("catalogue.sqlite*"):
        part.unlink()
    (folder / "catalogue.sqlite").write_bytes(b"damaged" * 1000)
    await application.cannot("catalogue-unusable", "catalog", "list")
    (folder / "catalogue.sqlite").unlink()
    await application.does("catalog", "import", str(folder / "copy.json"))
    await application.does("restore", VOLUME, "--to", f"{VOLUME}/back")
    assert (application.stack.volume / "back" / "small").read_text() == "small"


async def test_cartridges_are_labelled_scanned_and_freed_by_hand(
    application: Application,
) -> None:
    await application.does("media", "label", "VT0002")
    assert await application.states() == {"VT0002": "empty"}
    await application.cannot("cartridge-in-use", "media", "label", "VT0002")
    await application.cannot("barcode-of-no-pattern", "media", "label", "VT0005")
    rows = {row["cartridge"]: row["verdict"] for row in await application.told("media", "scan")}
    assert rows == {
        "VT0001": "not in use",
        "VT0002": "as expected",
        "VT0003": "not in use",
        "VT0004": "not in use",
    }
    fill(application.stack.volume, files=1)
    await application.does("backup", "run", "vol1")
    assert await application.states() == {"VT0002": "open"}
    await application.does("media", "expire", "VT0002", "--yes")
    assert await application.told("catalog", "list") == []
    assert await application.states() == {"VT0002": "expired"}


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
