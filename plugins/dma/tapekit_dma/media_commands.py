"""``tapekit media``: the cartridges of media sets.

The one rule: a cartridge gets a label by hand only if it is blank, or if the
catalogue says that all on it may go.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Final, NamedTuple, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.errors import TapekitError
from tapekit_dma.catalogue import Catalogue
from tapekit_dma.choosing import with_increments
from tapekit_dma.drive import Drive
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.label import decode_label
from tapekit_dma.media import MediaSet, is_about_the_tape
from tapekit_dma.rebuild_run import Rebuilding, run_rebuild
from tapekit_dma.records import Cartridge
from tapekit_dma.robot import Robot
from tapekit_dma.running import run_to_end
from tapekit_dma.sessions import Room, logged_in
from tapekit_dma.site import Site

__all__ = ["media_app"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Barcode = Annotated[str, typer.Argument(metavar="CARTRIDGE", help="Barcode of the cartridge.")]
_Set = Annotated[str, typer.Option("--set", help="Media set, if there are several.")]


def media_app(site: Site) -> typer.Typer:
    """``tapekit media``."""
    app = typer.Typer(no_args_is_help=True, help="Cartridges of media sets.")
    commands = _Commands(site)
    for command in (commands.list, commands.label, commands.scan, commands.expire):
        app.command()(command)
    return app


class _Scanned(NamedTuple):
    cartridge: str
    label: str
    verdict: str


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, site: Site) -> None:
        self._site: Final = site

    def list(self, json: _AsJson = False) -> None:
        """List the cartridges that the catalogue knows."""
        rows = []
        with self._site.catalogue() as catalogue:
            for cartridge in catalogue.cartridges().values():
                name = cartridge.media_set
                room = self._set(name, catalogue).room(cartridge)
                on = sorted({number for number, _ in catalogue.on(cartridge.barcode)})
                told = ", ".join(map(str, on))
                rows.append((cartridge.barcode, name, room.word, told, cartridge.complaint))
        columns = ("cartridge", "set", "state", "backups", "complaint")
        if json:
            say_json([dict(zip(columns, row, strict=True)) for row in rows])
            return
        say_table([column.title() for column in columns], rows)

    def label(self, barcode: _Barcode, media_set: _Set = "") -> None:
        """Label a blank cartridge, or one whose backups may all go."""
        name = self._name(media_set)
        with self._site.catalogue() as catalogue, catalogue.exclusively(name):
            run_to_end(partial(self._label, name, barcode, catalogue))
        say(f"{barcode} belongs to {name}")

    async def _label(self, name: str, barcode: str, catalogue: Catalogue) -> None:
        media = self._set(name, catalogue)
        if not media.takes(barcode):
            raise CATALOGUE.error("barcode-of-no-pattern", barcode=barcode, media_set=name)
        known = catalogue.cartridges().get(barcode)
        cartridge = known or Cartridge(barcode=barcode, media_set=name)
        room = media.room(msgspec.structs.replace(cartridge, complaint=""))
        if not room.begins_anew or cartridge.media_set != name:
            raise CATALOGUE.error("cartridge-in-use", barcode=barcode, state=room.word)
        async with AsyncExitStack() as sessions:
            drive = await _drive(self._site.room(), name, catalogue, sessions)
            await drive.load(barcode)
            start = await media.require_label(drive, cartridge, may_be_blank=True)
            await drive.require_writable()
            await media.label(drive, cartridge, room.forgotten, start)

    def scan(
        self,
        media_set: _Set = "",
        rebuild: Annotated[
            bool,
            typer.Option("--rebuild", help="Take in what the catalogue does not know of them."),
        ] = False,
        forgotten: Annotated[
            bool, typer.Option("--forgotten", help="Take in what had been forgotten, too.")
        ] = False,
        json: _AsJson = False,
    ) -> None:
        """Read the label of every cartridge of a set that is in the library.

        A cartridge with the right label may be written to again, whatever
        was wrong with it before. With --rebuild the cartridges are looked
        through for backups that the catalogue, which may be lost or an old
        copy, does not know.
        """
        name = self._name(media_set)
        if rebuild or forgotten:
            return self._show(self._rebuild(name, with_forgotten=forgotten), as_json=json)
        with self._site.catalogue() as catalogue, catalogue.exclusively(name):
            found = run_to_end(partial(self._scan, name, catalogue))
        if json:
            return say_json([each._asdict() for each in found])
        return say_table(("Cartridge", "Label", "Verdict"), found)

    async def _scan(self, name: str, catalogue: Catalogue) -> Sequence[_Scanned]:
        media = self._set(name, catalogue)
        found = []
        async with AsyncExitStack() as sessions:
            drive = await _drive(self._site.room(), name, catalogue, sessions)
            for barcode in sorted(filter(media.takes, await drive.barcodes())):
                await drive.load(barcode)
                found.append(await _scanned(barcode, drive, catalogue))
        return found

    def _rebuild(self, name: str, *, with_forgotten: bool) -> Rebuilding:
        with self._site.catalogue() as catalogue, catalogue.exclusively(name):
            return run_to_end(
                partial(self._look_through, name, catalogue, with_forgotten=with_forgotten)
            )

    async def _look_through(
        self, name: str, catalogue: Catalogue, *, with_forgotten: bool
    ) -> Rebuilding:
        media = self._set(name, catalogue)
        room = self._site.room()
        async with AsyncExitStack() as sessions:
            drive = await _drive(room, name, catalogue, sessions)
            mine = sorted(filter(media.takes, await drive.barcodes()))
            return await run_rebuild(
                name, mine, drive, catalogue, room.tell, with_forgotten=with_forgotten
            )

    @staticmethod
    def _show(found: Rebuilding, *, as_json: bool) -> None:
        if as_json:
            backups = [each._asdict() for each in found.backups]
            cartridges = [{"cartridge": one, "found": what} for one, what in found.cartridges]
            say_json({"backups": backups, "cartridges": cartridges})
            return
        say_table(("Cartridge", "Found"), found.cartridges)
        rows = [tuple(map(str, each)) for each in found.backups]
        columns = ("Number", "Path", "Level", "Cartridges", "Verdict")
        say_table(columns, rows, right=("Number", "Level"))

    def expire(
        self,
        barcode: _Barcode,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Forget all backups on a cartridge, so that it may begin anew."""
        with self._site.catalogue() as catalogue:
            cartridge = catalogue.cartridges().get(barcode)
            if cartridge is None:
                raise CATALOGUE.error("no-such-cartridge", barcode=barcode)
            with catalogue.exclusively(cartridge.media_set):
                on = {number for number, _ in catalogue.on(barcode)}
                numbers = with_increments(on, catalogue.backups())
                told = ", ".join(map(str, numbers)) or "none"
                if not yes:
                    typer.confirm(f"forget backups {told}?", abort=True, err=True)
                catalogue.forget(numbers)
        say(f"forgotten: {told}")

    def _name(self, given: str) -> str:
        name = given or self._site.only(self._site.settings.media_sets, "set")
        self._site.media_set(name)
        return name

    def _set(self, name: str, catalogue: Catalogue) -> MediaSet:
        self._site.media_set(name)
        clock = self._site.room().clock
        return MediaSet(
            name, self._site.settings.media_sets, catalogue, clock, self._site.new_label
        )


async def _drive(room: Room, name: str, catalogue: Catalogue, sessions: AsyncExitStack) -> Drive:
    settings = room.settings.media_sets[name]
    sessions.enter_context(catalogue.alone_at(settings.server, settings.drive))
    tape = await sessions.enter_async_context(logged_in(room, settings.server))
    mover = await sessions.enter_async_context(logged_in(room, settings.server))
    robot = Robot(mover, settings.robot, settings.drive_number)
    return Drive(tape, settings.drive, robot)


async def _scanned(barcode: str, drive: Drive, catalogue: Catalogue) -> _Scanned:
    """Compare one label with the catalogue."""
    try:
        start = await drive.read_start()
    except TapekitError as problem:
        if not is_about_the_tape(problem):
            raise
        return _Scanned(barcode, "", f"cannot be read: {problem}")
    label = None if start is None else decode_label(start)
    cartridge = catalogue.cartridges().get(barcode)
    if label is None:
        told = "data without a label" if start is not None else "blank"
        is_lost = cartridge is not None and cartridge.label is not None
        return _Scanned(barcode, told, "its label is gone" if is_lost else "not in use")
    if cartridge is None or label.identifier not in {cartridge.label, cartridge.next_label}:
        return _Scanned(barcode, label.identifier, "not what the catalogue knows")
    if cartridge.complaint:
        catalogue.keep(msgspec.structs.replace(cartridge, complaint=""))
    return _Scanned(barcode, label.identifier, "as expected")
