"""One backup from login to the catalogue.

The catalogue hears of a backup before anything is written, of each cartridge
before it is written to, and of success only after the data server has ended
well and the filemark is on tape. The one rule: whatever ends a run early
leaves a backup that failed, and ends of data where they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.errors import TapekitError
from tapekit_dma.choosing import base_for, level_of, restorable
from tapekit_dma.drive import Drive
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.file_index import written_index
from tapekit_dma.leaving import leave_on_tape
from tapekit_dma.media import MediaSet
from tapekit_dma.records import Backup, Cartridge, Part, State
from tapekit_dma.robot import Robot
from tapekit_dma.sessions import Voices, logged_in
from tapekit_ndmp_v4.client import BackupPlan, TapeAt, Watch, back_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_dma.catalogue import Catalogue
    from tapekit_dma.file_index import IndexWriter
    from tapekit_dma.sessions import Room
    from tapekit_ndmp_v4.client import BackupResult, NdmpClient, TapeWanted
    from tapekit_ndmp_v4.wire import Message

__all__ = ["BackupOrder", "run_backup"]


_IMAGES: Final = "SMTAPE_BACKUP_SET_ID"
"""What the images of one chain have in common."""


@final
class BackupOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that somebody wants."""

    server: str
    path: str
    media_set: str
    butype: str = "dump"
    level: str = "0"
    """A digit, or ``full``, ``incremental``, ``differential``."""
    variables: Mapping[str, str] = {}


class _Ends(NamedTuple):
    """The sessions of a run; the tape's may be the data server's own."""

    data: NdmpClient
    tape: NdmpClient
    robot: NdmpClient


async def run_backup(
    order: BackupOrder,
    room: Room,
    catalogue: Catalogue,
    new_label: Callable[[], str],
    on_good: Callable[[Backup], object] = lambda backup: backup,
) -> Backup:
    """Back up, and give what the catalogue has of it.

    :param on_good: called once the backup is a good one in the catalogue,
        which nothing that comes afterwards changes.
    :raises TapekitError: it failed, and the catalogue says so too; or
        something went wrong after ``on_good``.
    """
    with catalogue.exclusively(order.media_set):
        planned = _planned(order, room, catalogue)
        settings = room.settings.media_sets[order.media_set]
        async with AsyncExitStack() as sessions:
            data = await sessions.enter_async_context(logged_in(room, order.server))
            tape = data
            if settings.server != order.server:
                tape = await sessions.enter_async_context(logged_in(room, settings.server))
            robot = await sessions.enter_async_context(logged_in(room, settings.server))
            sessions.enter_context(catalogue.alone_at(settings.server, settings.drive))
            sets = room.settings.media_sets
            media = MediaSet(order.media_set, sets, catalogue, room.clock, new_label)
            run = _Run(order, room, catalogue, media, _Ends(data, tape, robot), on_good)
            return await run.carry_out(planned)


def _planned(order: BackupOrder, room: Room, catalogue: Catalogue) -> Backup:
    """The backup as it begins.

    :raises TapekitError: the level cannot be.
    """
    earlier = [
        each
        for each in restorable(catalogue.backups())
        if (each.server, each.path, each.butype) == (order.server, order.path, order.butype)
    ]
    level = level_of(order.level, earlier)
    base = base_for(level, order.path, earlier)
    return Backup(
        media_set=order.media_set,
        server=order.server,
        path=order.path,
        butype=order.butype,
        level=level,
        base=None if base is None else base.number,
        started_at=room.clock(),
        record_size=room.settings.media_sets[order.media_set].record_size,
    )


@final
class _Run:
    """A backup that has its sessions."""

    def __init__(
        self,
        order: BackupOrder,
        room: Room,
        catalogue: Catalogue,
        media: MediaSet,
        ends: _Ends,
        on_good: Callable[[Backup], object],
    ) -> None:
        settings = room.settings.media_sets[order.media_set]
        robot = Robot(ends.robot, settings.robot, settings.drive_number)
        self._order: Final = order
        self._room: Final = room
        self._catalogue: Final = catalogue
        self._media: Final = media
        self._ends: Final = ends
        self._on_good: Final = on_good
        self._drive: Final = Drive(ends.tape, settings.drive, robot)
        self._voices: Final = Voices()
        self._cartridges: Final[list[Cartridge]] = []
        self._number = 0

    async def carry_out(self, planned: Backup) -> Backup:
        # What runs keeps what it builds on; a cartridge is chosen after that.
        backup = self._catalogue.begin(planned)
        self._number = backup.number
        done: Backup | None = None
        reason = "it was interrupted"
        try:
            first = await self._media.next_to_write(self._drive)
            with written_index(self._catalogue.index_of(backup.number)) as index:
                place = self._began(first, 0)
                result = await self._transfer(backup, place, index)
            done = self._commit(backup, result)
            self._on_good(done)
        except TapekitError as error:
            reason = f"{error}{self._voices.quoted}"
            raise CATALOGUE.error(
                "backup-failed", backup=backup.name, reason=reason, remedy=error.action
            ) from error
        finally:
            if done is None:
                self._catalogue.fail(backup.number, reason, self._room.clock())
        if self._voices.quoted:
            self._room.tell(f"{done.name} is good{self._voices.quoted}")
        await leave_on_tape(done, self._cartridges[-1], self._media, self._drive, self._room)
        return done

    async def _transfer(self, backup: Backup, place: TapeAt, index: IndexWriter) -> BackupResult:
        def heard(post: Message) -> None:
            index.add(post)
            self._voices.hear(post)

        plan = BackupPlan(
            tape=place,
            environment=self._environment(backup),
            butype=backup.butype,
            record_size=backup.record_size,
            filemarks=1,
        )
        ends = self._ends
        other = None if ends.tape is ends.data else ends.tape
        watch = Watch(on_post=heard, on_tape=self._is_the_one)
        return await back_up(ends.data, plan, tape=other, next_tape=self._next_tape, watch=watch)

    def _environment(self, backup: Backup) -> tuple[tuple[str, str], ...]:
        """What the data server is told; a base is named by the token that it
        gave out, so that no backup of others comes in between.
        """
        told = {
            "FILESYSTEM": backup.path,
            "LEVEL": str(backup.level),
            "TYPE": backup.butype,
            "UPDATE": "Y",
        }
        if backup.butype != "smtape":
            told["HIST"] = "Y"
        if backup.base is not None:
            base = dict(self._catalogue.backup(backup.base).environment)
            if "DUMP_DATE" in base:
                told["BASE_DATE"] = base["DUMP_DATE"]
            if _IMAGES in base:
                told[_IMAGES] = base[_IMAGES]
        elif backup.butype == "dump":
            told["BASE_DATE"] = "0"
        return tuple({**told, **self._order.variables}.items())

    async def _next_tape(self, wanted: TapeWanted) -> TapeAt:
        return self._began(await self._media.next_to_write(self._drive), wanted.position)

    async def _is_the_one(self) -> None:
        """Between the first look at a cartridge and this the drive was free."""
        cartridge = self._cartridges[-1]
        await self._drive.require_open_tape(cartridge.barcode, cartridge.label)

    def _began(self, cartridge: Cartridge, offset: int) -> TapeAt:
        """Remember where the next part goes before it is written."""
        self._cartridges.append(cartridge)
        self._catalogue.add_part(self._number, _part(cartridge, offset))
        self._room.tell(f"writing to {cartridge.barcode}, tape file {cartridge.next_file}")
        return self._drive.at(cartridge.next_file)

    def _commit(self, backup: Backup, result: BackupResult) -> Backup:
        parts = [
            msgspec.structs.replace(_part(cartridge, part.offset), length=part.length)
            for cartridge, part in zip(self._cartridges, result.parts, strict=True)
            if part.length or len(result.parts) == 1
        ]
        *full, last = self._cartridges
        after = [msgspec.structs.replace(each, is_full=True) for each in full]
        # The catalogue tape file comes there next, or a part of it.
        last = msgspec.structs.replace(last, next_file=last.next_file + 1, has_rest=True)
        after.append(last)
        done = msgspec.structs.replace(
            backup,
            state=State.GOOD,
            ended_at=self._room.clock(),
            bytes=result.bytes_processed,
            environment=result.environment,
        )
        self._catalogue.commit(done, parts, after)
        self._cartridges[-1] = last
        return done


def _part(cartridge: Cartridge, offset: int) -> Part:
    assert cartridge.label is not None
    return Part(
        barcode=cartridge.barcode, label=cartridge.label, file=cartridge.next_file, offset=offset
    )
