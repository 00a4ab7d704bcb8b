"""A virtual library: drives, slots and cartridges in a folder.

Every change checks the rules of a real library (a full slot takes nothing,
a tape in use is not pulled out) and then replaces the state file. What a
running server has open is locked in the host's file system, so the command
line works beside it. The one rule: nothing is decided on a state that
somebody else could be changing.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.cartridge import (
    Cartridge,
    create_cartridge,
    inspect_cartridge,
    lock_cartridge,
)
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.index_format import LABEL_BYTES, Header
from tapekit_vtape.library_state import (
    STATE_VERSION,
    LibraryState,
    Place,
    changing,
    has_state,
    library_unwritable,
    read_state,
    write_state,
)
from tapekit_vtape.models import read_label
from tapekit_vtape.rebuilding import rebuild_cartridge
from tapekit_vtape.reservation_book import ReservationBook
from tapekit_vtape.robot import exchanged, moved, occupant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tapekit.errors import TapekitError
    from tapekit_vtape.rebuilding import Rebuilt
    from tapekit_vtape.replay import Replayed
    from tapekit_vtape.robot import Spot
    from tapekit_vtape.settings import LibrarySettings

__all__ = ["CartridgeRow", "Library", "Taken"]

_BARCODE: Final = re.compile(r"[A-Z0-9][A-Z0-9_-]*")


class CartridgeRow(NamedTuple):
    """One cartridge: where it is, and what is on it, or why that is unknown."""

    barcode: str
    place: Place | None
    content: Replayed | TapekitError


class Taken(NamedTuple):
    """A cartridge that a drive has opened, and where its tape stands."""

    barcode: str
    cartridge: Cartridge
    position: int


@final
class Library:
    """The library in one folder."""

    def __init__(self, directory: Path, settings: LibrarySettings) -> None:
        self.directory: Final = directory
        self._settings: Final = settings
        self._durable: Final = settings.durability != "none"
        self.reservations: Final = ReservationBook(directory, durable=self._durable)

    @property
    def _all_slots(self) -> int:
        """Slots and mail slots, which are numbered behind them."""
        return self._settings.slots + self._settings.mail_slots

    @property
    def slots(self) -> int:
        """Slots that are not mail slots."""
        return self._settings.slots

    @property
    def exists(self) -> bool:
        """Whether there is a library in the folder."""
        return has_state(self.directory)

    # Making.

    def create(self, serial: str, barcodes: Sequence[str]) -> None:
        """Make the library with empty cartridges, in slots from 0 on.

        The first ones go into the drives, as many as there are. A cartridge
        that is in the folder already is used as it is.

        :param serial: letters and digits that no other library has.
        :raises TapekitError: there is one already, the cartridges are more
            than the slots (then nothing is made), or the host refuses.
        """
        if self.exists:
            raise CATALOGUE.error("library-exists", directory=str(self.directory))
        if len(barcodes) > self.slots:
            raise CATALOGUE.error("too-many-cartridges", cartridges=len(barcodes), slots=self.slots)
        for barcode in barcodes:
            self._check_barcode(barcode)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.directory / "cartridges").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise library_unwritable(self.directory, error) from error
        places: dict[str, Place] = {}
        for slot, barcode in enumerate(barcodes):
            if not self.folder(barcode).exists():
                create_cartridge(self.folder(barcode), self._new_header(barcode))
            drive = slot if slot < self._settings.drives else None
            places[barcode] = Place(slot=slot, drive=drive)
        # Last, since a folder with this file is a library.
        state = LibraryState(version=STATE_VERSION, serial=serial, cartridges=places)
        write_state(self.directory, state, durable=True)

    def create_cartridge(
        self,
        barcode: str,
        *,
        slot: int | None = None,
        capacity: int | None = None,
        early_warning: int | None = None,
    ) -> Place:
        """Make an empty cartridge in a slot, the first free one by default.

        Sizes are in bytes; without them the settings count.

        :raises TapekitError: the barcode or the slot is taken or not valid.
        """
        self._check_barcode(barcode)
        header = self._new_header(barcode, capacity, early_warning)
        with changing(self.directory) as state:
            if self.folder(barcode).exists():
                raise CATALOGUE.error("barcode-taken", barcode=barcode)
            place = self._place_by_hand(state, slot)
            create_cartridge(self.folder(barcode), header)
            self._write(state.with_place(barcode, place))
        return place

    def _new_header(
        self, barcode: str, capacity: int | None = None, early_warning: int | None = None
    ) -> Header:
        settings = self._settings
        capacity = settings.capacity_bytes if capacity is None else capacity
        if early_warning is None:
            early_warning = min(settings.early_warning_bytes, capacity // 10)
        generation, is_worm = read_label(barcode)
        if not 0 <= early_warning < capacity:
            raise CATALOGUE.error(
                "bad-capacity", barcode=barcode, capacity=capacity, early_warning=early_warning
            )
        density = generation.density if generation else 0
        return Header(barcode, capacity, early_warning, is_worm=is_worm, density=density)

    # Looking.

    def state(self) -> LibraryState:
        """Where everything is.

        :raises TapekitError: the library is missing or unreadable.
        """
        return read_state(self.directory)

    def rows(self) -> list[CartridgeRow]:
        """All cartridges, those on the shelf last.

        :raises TapekitError: the library is missing or unreadable.
        """
        state = self.state()
        shelf = sorted(
            path.name
            for path in (self.directory / "cartridges").glob("*/")
            if path.name not in state.cartridges
        )
        places: list[tuple[str, Place | None]] = [
            *sorted(state.cartridges.items(), key=lambda item: item[1].slot),
            *((barcode, None) for barcode in shelf),
        ]
        return [CartridgeRow(barcode, place, self._look(barcode)) for barcode, place in places]

    def _look(self, barcode: str) -> Replayed | TapekitError:
        try:
            return inspect_cartridge(self.folder(barcode))
        except TapeError as error:
            return error

    def folder(self, barcode: str) -> Path:
        """The folder of a cartridge."""
        return self.directory / "cartridges" / barcode

    def has(self, barcode: str) -> bool:
        """Whether there is a cartridge of a barcode, wherever it is."""
        return _BARCODE.fullmatch(barcode) is not None and self.folder(barcode).is_dir()

    def open_cartridge(self, barcode: str, *, shared: bool) -> Cartridge:
        """Open a cartridge wherever it is.

        :param shared: for reading beside other readers.
        :raises TapekitError: no such cartridge; in use; unreadable.
        """
        self._check_cartridge(barcode)
        return Cartridge.open(self.folder(barcode), durable=self._durable, shared=shared)

    def rebuild(self, barcode: str, record_size: int | None, *, takes_rest: bool) -> Rebuilt:
        """Give a cartridge a new index; see :func:`rebuild_cartridge`.

        :raises TapekitError: no such cartridge; in use; its index is in order;
            or more has to be known.
        """
        self._check_cartridge(barcode)
        usual = self._new_header(barcode)
        return rebuild_cartridge(self.folder(barcode), usual, record_size, takes_rest=takes_rest)

    def is_protected(self, barcode: str) -> bool:
        """Whether a cartridge can only be read, for whatever reason.

        :raises TapeError: it cannot be read either.
        """
        return inspect_cartridge(self.folder(barcode)).header.is_protected

    # Moving, by hand and by the drives.

    def load(self, drive: int, barcode: str) -> None:
        """Put a cartridge into a drive.

        :raises TapekitError: no such drive or cartridge, the drive is full,
            the cartridge is in use or on the shelf.
        """
        self._check_drive(drive)
        self._check_cartridge(barcode)
        with changing(self.directory) as state:
            there = state.inserted(drive)
            if there is not None:
                raise CATALOGUE.error("drive-full", drive=drive, barcode=there[0])
            place = state.cartridges.get(barcode)
            if place is None:
                raise CATALOGUE.error("on-shelf", barcode=barcode)
            if place.drive is not None:
                raise CATALOGUE.error("in-other-drive", barcode=barcode, drive=place.drive)
            with self._free_cartridge(barcode):
                self._write(state.with_place(barcode, Place(slot=place.slot, drive=drive)))

    def unload(self, drive: int) -> str:
        """Take the cartridge of a drive back to its slot; its barcode.

        :raises TapekitError: no such drive, it is empty, the tape is in use.
        """
        self._check_drive(drive)
        with changing(self.directory) as state:
            there = state.inserted(drive)
            if there is None:
                raise CATALOGUE.error("drive-empty", drive=drive)
            barcode, place = there
            with self._free_cartridge(barcode):
                self._write(state.with_place(barcode, Place(slot=place.slot)))
        return barcode

    def move(self, barcode: str, slot: int | None) -> None:
        """Move a cartridge to another slot, or to the shelf with ``None``.

        :raises TapekitError: no such cartridge or slot, the slot is taken,
            the cartridge is in a drive.
        """
        self._check_cartridge(barcode)
        with changing(self.directory) as state:
            place = state.cartridges.get(barcode)
            if place is not None and place.drive is not None:
                raise CATALOGUE.error("in-drive", barcode=barcode, drive=place.drive)
            target = None if slot is None else self._place_by_hand(state, slot)
            with self._free_cartridge(barcode):
                self._write(state.with_place(barcode, target))

    def transfer(self, source: Spot, destination: Spot) -> None:
        """Let the robot move a cartridge; see :func:`moved`.

        :raises TapeError: and ``BUSY``, a drive has the cartridge loaded.
        """
        with changing(self.directory) as state:
            self._replace(state, moved(state, source, destination), (source,))

    def exchange(self, source: Spot, destination: Spot, second: Spot) -> None:
        """Let the robot exchange two cartridges; see :func:`exchanged`.

        :raises TapeError: and ``BUSY``, a drive has one of them loaded.
        """
        with changing(self.directory) as state:
            after = exchanged(state, source, destination, second)
            self._replace(state, after, (source, destination))

    def _replace(self, state: LibraryState, after: LibraryState, spots: Sequence[Spot]) -> None:
        """Write a state in which what lies in some spots has gone elsewhere."""
        with ExitStack() as free:
            for spot in spots:
                barcode = occupant(state, spot)
                assert barcode is not None
                free.enter_context(self._free_cartridge(barcode))
            self._write(after)

    def survey(self) -> tuple[LibraryState, frozenset[str]]:
        """Where everything is, and which of the cartridges in drives somebody
        uses at this moment.

        :raises TapeError: the library is missing or unreadable.
        """
        # Trying a lock must not come in the way of a drive that takes its tape.
        with changing(self.directory) as state:
            inserted = (code for code, place in state.cartridges.items() if place.drive is not None)
            return state, frozenset(code for code in inserted if self._is_used(code))

    def _is_used(self, barcode: str) -> bool:
        try:
            with self._free_cartridge(barcode):
                return False
        except TapeError as error:
            # What else is wrong with a cartridge, the drive tells that loads it.
            return error.condition is Condition.BUSY

    def take(self, drive: int, *, also_ejected: bool) -> Taken | None:
        """Open the cartridge in a drive, for the drive; see :class:`Bay`."""
        with changing(self.directory) as state:
            there = state.inserted(drive)
            if there is None or (there[1].is_ejected and not also_ejected):
                return None
            barcode, place = there
            cartridge = Cartridge.open(self.folder(barcode), durable=self._durable)
            if place.is_ejected or place.position:
                # Should this process be killed, the tape counts as rewound.
                self._write(state.with_place(barcode, Place(slot=place.slot, drive=drive)))
            return Taken(barcode, cartridge, min(place.position, cartridge.tape.objects))

    def remember(
        self, drive: int, barcode: str, *, position: int = 0, is_ejected: bool = False
    ) -> None:
        """Keep how a tape stands that is still in a drive."""
        with changing(self.directory) as state:
            there = state.inserted(drive)
            if there is None or there[0] != barcode:
                return
            place = there[1]
            kept = msgspec.structs.replace(place, position=position, is_ejected=is_ejected)
            if kept != place:
                self._write(state.with_place(barcode, kept))

    def _write(self, state: LibraryState) -> None:
        write_state(self.directory, state, durable=self._durable)

    # Rules.

    @contextmanager
    def _free_cartridge(self, barcode: str) -> Iterator[None]:
        """Make sure that nobody uses a cartridge, nor begins to."""
        lock = lock_cartridge(self.folder(barcode), shared=False)
        try:
            yield
        finally:
            os.close(lock)

    def _check_barcode(self, barcode: str) -> None:
        if len(barcode) > LABEL_BYTES or not _BARCODE.fullmatch(barcode):
            raise CATALOGUE.error("bad-barcode", barcode=barcode, most=LABEL_BYTES)

    def _check_cartridge(self, barcode: str) -> None:
        if not self.has(barcode):
            raise CATALOGUE.error("no-cartridge", barcode=barcode, directory=str(self.directory))

    def _check_drive(self, drive: int) -> None:
        if not 0 <= drive < self._settings.drives:
            raise CATALOGUE.error("no-drive", drive=drive, drives=self._settings.drives)

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self._all_slots:
            raise CATALOGUE.error("no-slot", slot=slot, slots=self._all_slots)

    def _place_by_hand(self, state: LibraryState, slot: int | None) -> Place:
        usable = self._usable_slot(state, slot)
        return Place(slot=usable, was_imported=usable >= self._settings.slots)

    def _usable_slot(self, state: LibraryState, slot: int | None) -> int:
        if slot is not None:
            self._check_slot(slot)
            owner = state.owner(slot)
            if owner is not None:
                raise CATALOGUE.error("slot-taken", slot=slot, barcode=owner)
            return slot
        for free in range(self._settings.slots):
            if state.owner(free) is None:
                return free
        raise CATALOGUE.error("no-free-slot", slots=self._settings.slots)
