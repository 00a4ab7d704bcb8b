"""Catalogues that are rebuilt from cartridges alone, after everything that
can have happened to them. All of it in one process.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from test_dma_troubles import (
    DAY_S,
    VOLUME,
    Application,
    application,
    fill,
    goods,
    served,
    write,
)

from tapekit.errors import TapekitError
from tapekit_dma.catalogue import open_catalogue
from tapekit_dma.file_index import is_usable
from tapekit_dma.label import LABEL_BYTES, decode_label, encode_label
from tapekit_dma.records import State
from tapekit_dma.restore_plan import RestoreOrder, plan_restore
from tapekit_dma.restore_run import run_restore
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape
from tapekit_ndmp_v4.numbers import MtioOp, TapeOpenMode
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tapekit_dma.drive import Drive
    from tapekit_dma.rebuild_run import Rebuilding

__all__ = ["application"]

BLOCK: Final = 10240
"""What images of dump are a multiple of."""


def lose(application: Application) -> Mapping[str, object]:
    """Take the catalogue away; gives what was in it."""
    known = state(application)
    shutil.rmtree(application.directory / "catalogue")
    return known


def state(application: Application) -> Mapping[str, object]:
    with application.catalogue() as opened:
        return {
            "entries": opened.entries(),
            "cartridges": {
                name: (one.label, one.next_file, one.is_full, one.complaint)
                for name, one in opened.cartridges().items()
            },
        }


def verdicts(found: Rebuilding) -> dict[int, str]:
    return {each.number: each.verdict for each in found.backups}


async def bring_back(application: Application, *paths: str) -> None:
    """Restore paths of the volume."""
    order = RestoreOrder(paths=paths, to=f"{VOLUME}/back")
    with trio.fail_after(60), application.catalogue() as opened:
        await run_restore(order, plan_restore(order, opened), application.room, opened)


async def chain(application: Application) -> None:
    """A full backup over two cartridges, an increment behind it."""
    fill(application.volume, 6_000_000)
    await application.back_up()
    (application.volume / "new").write_text("new")
    await application.back_up(level="incremental")


async def test_a_lost_catalogue_is_rebuilt_with_its_file_indexes(
    application: Application,
) -> None:
    await chain(application)
    known = lose(application)
    found = await application.rebuild()
    assert verdicts(found) == {1: "taken in", 2: "taken in"}
    assert state(application) == known
    await bring_back(application, f"{VOLUME}/small", f"{VOLUME}/new")
    back = application.volume / "back"
    assert (back / "small").read_text() == "small"
    assert (back / "new").read_text() == "new"
    assert not (back / "large").exists()
    await application.restore()
    assert (back / "large").stat().st_size == 6_000_000
    shutil.rmtree(back)
    done = await application.back_up(level="incremental")
    assert (done.number, done.base, done.level) == (3, 2, 2)


async def test_a_second_rebuild_changes_nothing(application: Application) -> None:
    await chain(application)
    known = state(application)
    for _ in range(2):
        assert verdicts(await application.rebuild()) == {1: "known", 2: "known"}
        assert state(application) == known
    lost = application.directory / "catalogue" / "index-2.sqlite"
    for damage in (lost.unlink, lambda: lost.write_bytes(b"damaged" * 1000)):
        damage()
        await application.rebuild()
        assert is_usable(lost)
    assert not list(lost.parent.glob("found-*"))


async def test_cartridges_that_are_elsewhere_are_known_from_the_others(
    application: Application,
) -> None:
    await chain(application)
    known = lose(application)
    application.library.move("VT0001", None)
    assert verdicts(await application.rebuild()) == {1: "taken in", 2: "taken in"}
    assert state(application) == known
    with pytest.raises(TapekitError, match="not in the library: VT0001; nothing"):
        await application.restore()


async def test_what_was_forgotten_comes_back_only_when_that_is_asked_for(
    application: Application,
) -> None:
    fill(application.volume)
    await application.back_up()
    await application.back_up()
    with application.catalogue() as opened:
        opened.forget([1])
    assert verdicts(await application.rebuild()) == {1: "forgotten", 2: "known"}
    await application.back_up()
    lose(application)
    assert verdicts(await application.rebuild()) == {1: "forgotten", 2: "taken in", 3: "taken in"}
    found = await application.rebuild(with_forgotten=True)
    assert verdicts(found) == {1: "taken in", 2: "known", 3: "known"}
    assert [each.number for each in goods(application)] == [1, 2, 3]


async def test_a_cartridge_whose_backups_were_all_forgotten_waits_for_a_scan(
    application: Application,
) -> None:
    fill(application.volume)
    application.sets["weekly"] = {"barcodes": ["VT0001"]}
    await application.back_up()
    application.sets["weekly"] = {"barcodes": ["VT0002"]}
    with application.catalogue() as opened:
        opened.forget([1])
    await application.back_up()
    lose(application)
    assert verdicts(await application.rebuild()) == {1: "forgotten", 2: "taken in"}
    assert "forgotten" in application.complaint("VT0001")


async def test_what_has_been_written_over_does_not_come_back(application: Application) -> None:
    fill(application.volume)
    application.sets["weekly"] = {"retention_days": 1, "retention_copies": 0}
    application.sets["weekly"]["barcodes"] = ["VT0001"]
    await application.back_up()
    application.sets["weekly"]["barcodes"] = ["VT0002"]
    await application.back_up()
    application.sets["weekly"]["barcodes"] = ["VT0001"]
    application.later_s = 2 * DAY_S
    await application.back_up()
    known = lose(application)
    application.sets["weekly"]["barcodes"] = ["VT*"]
    found = verdicts(await application.rebuild())
    assert found == {1: "written over", 2: "taken in", 3: "taken in"}
    assert state(application) == known


async def test_tape_files_of_which_nothing_tells_are_never_written_over(
    application: Application,
) -> None:
    """As on cartridges that were written before there were such files."""
    fill(application.volume)
    await application.back_up()
    await application.drive("VT0001", without_catalogue)
    lose(application)
    found = await application.rebuild()
    assert dict(found.cartridges)["VT0001"] == "no catalogue tells of tape file 1, 2"
    assert goods(application) == []
    done = await application.back_up()
    assert application.places(done.number) == ["VT0002"]
    assert "where a blank tape is expected" in application.complaint("VT0001")


async def without_catalogue(client: Any, drive: Drive) -> None:
    """Put something else behind the first backup."""
    await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
    await tape.go_to(client, 2)
    await client.call(m.TapeWriteRequest(data_out=b"written over"))
    await tape.close(client)
    start = await drive.read_start()
    label = None if start is None else decode_label(start)
    assert label is not None
    assert encode_label(label) == start


async def test_a_copy_from_the_middle_of_a_run_does_not_end_its_backup(
    application: Application,
) -> None:
    """In such a copy the backup has failed, and its place is free."""
    fill(application.volume)
    await application.back_up()
    catalogue = application.directory / "catalogue"

    def copy(line: str) -> None:
        if line.startswith("writing"):
            with open_catalogue(catalogue):
                shutil.copytree(catalogue, application.directory / "old")

    application.on_tell = copy
    await application.back_up()
    application.on_tell = str
    shutil.rmtree(catalogue)
    (application.directory / "old").rename(catalogue)
    with pytest.raises(TapekitError, match="knows nothing; nothing was written"):
        await application.back_up()
    assert [each.number for each in goods(application)] == [1]
    assert verdicts(await application.rebuild()) == {1: "known", 2: "taken in"}
    with application.catalogue() as opened:
        states = {each.number: each.state for each in opened.backups()}
    assert states == {1: State.GOOD, 2: State.GOOD, 3: State.FAILED}


async def test_an_old_copy_does_not_take_relabelled_cartridges_for_others(
    application: Application,
) -> None:
    fill(application.volume)
    application.sets["weekly"] = {"retention_days": 1, "retention_copies": 0}
    application.sets["weekly"]["barcodes"] = ["VT0001"]
    await application.back_up()
    shutil.copytree(application.directory / "catalogue", application.directory / "old")
    application.later_s = 2 * DAY_S
    await application.back_up()
    shutil.rmtree(application.directory / "catalogue")
    (application.directory / "old").rename(application.directory / "catalogue")
    with pytest.raises(TapekitError, match=r"backup 2 .* knows nothing; nothing was written"):
        await application.back_up()
    await application.rebuild()
    await application.restore()
    done = await application.back_up(level="incremental")
    assert application.places(done.number) == ["VT0001"]


@contextlib.asynccontextmanager
async def filled_exactly(tmp_path: Path, *barcodes: str) -> AsyncIterator[Application]:
    """Between the end of the second backup's data and the early warning not
    even a record of its catalogue fits.

    :param barcodes: patterns of the cartridges that it may use.
    """
    data = 360 * BLOCK
    room = LABEL_BYTES + data + 2000
    exact = VtapeSettings(capacity_bytes=4_000_000, early_warning_bytes=4_000_000 - room)
    async with served(tmp_path, library=exact) as stack:
        application = Application(stack, tmp_path / "application", {"port": stack.port})
        application.sets["weekly"] = {"record_size": BLOCK, "barcodes": ["VT0005"]}
        fill(application.volume, 3_000_000)
        measured = await application.back_up()
        application.sets["weekly"]["barcodes"] = barcodes
        fill(application.volume, 3_000_000 + data - measured.bytes - BLOCK // 2)
        assert (await application.back_up()).bytes == data
        assert application.places(2) == ["VT0001"]
        yield application


async def test_a_full_cartridge_leaves_the_catalogue_to_the_next_one(tmp_path: Path) -> None:
    async with filled_exactly(tmp_path, "VT000[12]") as application:
        with application.catalogue() as opened:
            cartridges = opened.cartridges()
        assert cartridges["VT0001"].is_full
        assert cartridges["VT0002"].next_file == 2
        lose(application)
        assert verdicts(await application.rebuild()) == {1: "taken in", 2: "taken in"}
        await bring_back(application, f"{VOLUME}/small")
        assert (application.volume / "back" / "small").read_text() == "small"


async def test_without_room_for_a_catalogue_the_next_backup_has_it(tmp_path: Path) -> None:
    async with filled_exactly(tmp_path, "VT0001") as application:
        assert "no catalogue tape file could be written: no cartridge" in application.told[-1]
        application.sets["weekly"]["barcodes"] = ["VT0002"]
        fill(application.volume)
        await application.back_up()
        lose(application)
        found = verdicts(await application.rebuild())
        assert found == {1: "taken in", 2: "taken in", 3: "taken in"}


async def test_foreign_and_blank_cartridges_are_named(application: Application) -> None:
    await application.drive("VT0003", lambda client, _: write(client, b"of others", b""))
    found = dict((await application.rebuild()).cartridges)
    assert found["VT0003"] == "data without a label"
    assert found["VT0004"] == "blank"


async def test_a_catalogue_that_broke_off_counts_as_none(application: Application) -> None:
    fill(application.volume)
    await application.back_up()
    await application.back_up()

    async def cut(client: Any, _: Drive) -> None:
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await tape.go_to(client, 4)
        await tape.move(client, MtioOp.FSR, 1)
        await client.call(m.TapeWriteRequest(data_out=b"{"))
        await tape.close(client)

    await application.drive("VT0001", cut)
    lose(application)
    found = await application.rebuild()
    assert verdicts(found) == {1: "taken in"}
    assert application.complaint("VT0001") == "no catalogue tells of tape file 3"
    done = await application.back_up(level="incremental")
    assert application.places(done.number) == ["VT0002"]
