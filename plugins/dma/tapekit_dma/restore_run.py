"""A restore from its plan to the last file.

Each step is one restore of the protocol, by whole images or straight to the
files. Before a cartridge is read its label is compared with the catalogue's.
The one rule: nothing counts as restored that a server has not said so of.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit_dma.drive import Drive
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.restore_plan import needed_parts
from tapekit_dma.robot import Robot
from tapekit_dma.sessions import Voices, logged_in
from tapekit_ndmp_v4.client import ImagePart, RecoverPlan, Watch, recover
from tapekit_ndmp_v4.messages import Name
from tapekit_ndmp_v4.numbers import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dma.catalogue import Catalogue
    from tapekit_dma.records import Part
    from tapekit_dma.restore_plan import RestoreOrder, RestoreStep
    from tapekit_dma.sessions import Room
    from tapekit_dma.settings import MediaSetSettings
    from tapekit_ndmp_v4.client import NdmpClient, TapeAt, TapeWanted

__all__ = ["run_restore"]


async def run_restore(
    order: RestoreOrder, steps: Sequence[RestoreStep], room: Room, catalogue: Catalogue
) -> int:
    """Carry a plan out; gives the bytes of the images that were taken in.

    :raises TapekitError: something did not come back; what came before stays.
    """
    total = 0
    if room.ask is None:
        await _require_present(steps, room)
    for step in steps:
        server = order.onto or step.backup.server
        settings = _media_set(step.backup.media_set, room)
        async with AsyncExitStack() as sessions:
            sessions.enter_context(catalogue.alone_at(settings.server, settings.drive))
            data = await sessions.enter_async_context(logged_in(room, server))
            tape = data
            if settings.server != server:
                tape = await sessions.enter_async_context(logged_in(room, settings.server))
            mover = await sessions.enter_async_context(logged_in(room, settings.server))
            robot = Robot(mover, settings.robot, settings.drive_number)
            drive = Drive(tape, settings.drive, robot)
            total += await _Step(order, step, room, drive).carry_out(data, tape)
    return total


async def _require_present(steps: Sequence[RestoreStep], room: Room) -> None:
    """Look for all cartridges of a restore before it begins, as nobody is
    there to bring one later.

    :raises TapekitError: some are not in their library.
    """
    wanted: dict[str, set[str]] = {}
    for step in steps:
        parts = needed_parts(step)
        wanted.setdefault(step.backup.media_set, set()).update(each.barcode for each in parts)
    missing: list[str] = []
    for name, barcodes in wanted.items():
        settings = _media_set(name, room)
        async with logged_in(room, settings.server) as mover:
            robot = Robot(mover, settings.robot, settings.drive_number)
            missing += sorted(barcodes - (await robot.contents()).barcodes)
    if missing:
        raise CATALOGUE.error("cartridges-missing", barcodes=", ".join(missing))


def _media_set(name: str, room: Room) -> MediaSetSettings:
    settings = room.settings.media_sets.get(name)
    if settings is None:
        raise CATALOGUE.error("no-such-media-set", name=name)
    return settings


@final
class _Step:
    """One restore of the protocol."""

    def __init__(self, order: RestoreOrder, step: RestoreStep, room: Room, drive: Drive) -> None:
        self._order: Final = order
        self._step: Final = step
        self._room: Final = room
        self._drive: Final = drive
        self._voices: Final = Voices()
        self._loaded: Part = step.parts[0]

    async def carry_out(self, data: NdmpClient, tape: NdmpClient) -> int:
        backup, parts = self._step.backup, self._step.parts
        if not self._step.found:
            for part in parts:
                await self._have(part)
        await self._load(parts[0])
        images = [ImagePart(self._drive.at(part.file), part.offset, part.length) for part in parts]
        plan = RecoverPlan(
            parts=tuple(images),
            environment=self._environment(),
            names=self._names(),
            butype=backup.butype,
            record_size=backup.record_size,
        )
        try:
            result = await recover(
                data,
                plan,
                tape=None if tape is data else tape,
                next_tape=self._next_tape,
                watch=Watch(on_post=self._voices.hear, on_tape=self._is_the_one),
            )
        except TapekitError as error:
            raise CATALOGUE.error(
                "restore-failed",
                backup=backup.name,
                reason=f"{error}{self._voices.quoted}",
                remedy=error.action,
            ) from error
        if self._voices.not_restored:
            raise CATALOGUE.error(
                "files-not-restored",
                paths=", ".join(self._voices.not_restored),
                quoted=self._voices.quoted,
            )
        return result.bytes_processed

    def _environment(self) -> tuple[tuple[str, str], ...]:
        found = self._step.found
        is_direct = bool(found) and all(each.position != UNLIMITED for each in found)
        told = {**dict(self._step.backup.environment), "DIRECT": "Y" if is_direct else "N"}
        if is_direct and any(each.is_directory for each in found):
            told["ENHANCED_DAR_ENABLED"] = "Y"
        return tuple(told.items())

    def _names(self) -> tuple[Name, ...]:
        to = self._order.to.rstrip("/")
        if not self._step.found:
            return (Name(original_path="", destination_path=to),)
        return tuple(
            Name(
                original_path=each.path,
                destination_path=f"{to}/{each.path}",
                node=each.node,
                fh_info=each.position,
            )
            for each in self._step.found
        )

    async def _next_tape(self, wanted: TapeWanted) -> TapeAt:
        (part,) = (each for each in self._step.parts if each.offset == wanted.part.offset)
        await self._load(part)
        return wanted.part.tape

    async def _is_the_one(self) -> None:
        """Between the first look at a cartridge and this the drive was free."""
        await self._drive.require_open_tape(self._loaded.barcode, self._loaded.label)

    async def _have(self, part: Part) -> None:
        """Have a cartridge in the library, put there by somebody if need be.

        :raises TapekitError: it is not there.
        """
        while part.barcode not in await self._drive.barcodes():
            ask = self._room.ask
            text = f"put cartridge {part.barcode} of {self._step.backup.name} into the library"
            if ask is None or not await ask(text):
                raise CATALOGUE.error("cartridge-missing", barcode=part.barcode)

    async def _load(self, part: Part) -> None:
        """Have the right cartridge in the drive.

        :raises TapekitError: its label is another one.
        """
        await self._have(part)
        await self._drive.load(part.barcode)
        label = await self._drive.read_label()
        if label is None or label.identifier != part.label:
            raise CATALOGUE.error(
                "wrong-label",
                barcode=part.barcode,
                found="no label" if label is None else f"label {label.identifier}",
                expected=part.label,
            )
        self._loaded = part
        self._room.tell(f"reading {part.barcode}, tape file {part.file}")
