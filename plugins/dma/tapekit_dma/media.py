"""Which cartridge is written to next, and what must be true of it before.

Candidates come from the library; the catalogue says which of them have room
and which may begin anew, and the tape itself has the last word. The one
rule: the catalogue forgets what was on a cartridge before the label that
ends it is written, and knows both labels until the new one has been read.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.errors import TapekitError
from tapekit_dma.choosing import kept_everywhere, with_increments
from tapekit_dma.errors import CATALOGUE, OldCatalogueError
from tapekit_dma.label import Label, decode_label
from tapekit_dma.rebuilding import unknown_to
from tapekit_dma.records import Cartridge, State
from tapekit_dma.tape_catalogue import TapeCatalogue
from tapekit_dma.tape_walk import files_from
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError
from tapekit_ndmp_v4.numbers import NdmpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tapekit_dma.catalogue import Catalogue
    from tapekit_dma.drive import Drive
    from tapekit_dma.records import Backup
    from tapekit_dma.settings import MediaSetSettings

__all__ = ["MediaSet", "Room", "is_about_the_tape", "room_on"]


class Room(NamedTuple):
    """What the catalogue thinks of a cartridge."""

    word: str
    """``new``, ``empty``, ``expired``, ``open``, ``full`` or ``suspect``."""
    forgotten: tuple[int, ...] = ()
    """The backups that end when the cartridge begins anew."""

    @property
    def begins_anew(self) -> bool:
        """Whether it gets a new label."""
        return self.word in {"new", "expired"}


_OF_TAPES: Final = frozenset(
    {
        NdmpError.WRITE_PROTECT_ERR,
        NdmpError.IO_ERR,
        NdmpError.EOF_ERR,
        NdmpError.EOM_ERR,
        NdmpError.NO_TAPE_LOADED_ERR,
    }
)

_ORDER: Final = ("open", "empty", "expired", "new")
"""What is written to first."""


def room_on(cartridge: Cartridge, backups: frozenset[int], present: frozenset[int]) -> Room:
    """What may be done with a cartridge.

    :param backups: those on it that are good, or run.
    :param present: those of all that are kept.
    """
    if cartridge.complaint:
        return Room("suspect")
    if cartridge.label is None:
        return Room("new")
    if backups & present:
        return Room("full" if cartridge.is_full else "open")
    if backups or cartridge.is_full or cartridge.next_file > 1 or cartridge.next_label:
        return Room("expired", tuple(sorted(backups)))
    return Room("empty")


@final
class MediaSet:
    """The cartridges of one media set during a run.

    :param sets: the settings of all media sets.
    :param new_label: makes identifiers of labels.
    """

    def __init__(
        self,
        name: str,
        sets: Mapping[str, MediaSetSettings],
        catalogue: Catalogue,
        clock: Callable[[], float],
        new_label: Callable[[], str],
    ) -> None:
        self.name: Final = name
        self._sets: Final = sets
        self._settings: Final = sets[name]
        self._catalogue: Final = catalogue
        self._clock: Final = clock
        self._new_label: Final = new_label
        self._used: Final[set[str]] = set()

    def takes(self, barcode: str) -> bool:
        """Whether a barcode is one of the set's."""
        return any(fnmatchcase(barcode, pattern) for pattern in self._settings.barcodes)

    def room(self, cartridge: Cartridge) -> Room:
        """What may be done with a cartridge now."""
        backups = self._catalogue.backups()
        present = kept_everywhere(backups, self._sets, self._clock())
        alive = {each.number for each in backups if each.state is not State.FAILED}
        there = frozenset(
            number
            for number, part in self._catalogue.on(cartridge.barcode)
            if number in alive and part.label == cartridge.label
        )
        return room_on(cartridge, there, present)

    async def next_to_write(self, drive: Drive) -> Cartridge:
        """Have a cartridge in the drive whose label is right and whose next
        file may be written; it is not given out again in this run.

        :raises TapekitError: no cartridge will do; why is told of each.
        """
        known = self._catalogue.cartridges()
        found: list[tuple[int, str, Cartridge]] = []
        for barcode in filter(self.takes, (await drive.barcodes()) - self._used):
            cartridge = known.get(barcode) or Cartridge(barcode=barcode, media_set=self.name)
            word = self.room(cartridge).word
            if cartridge.media_set == self.name and word in _ORDER:
                found.append((_ORDER.index(word), barcode, cartridge))
        for _, barcode, cartridge in sorted(found, key=lambda each: each[:2]):
            self._used.add(barcode)
            if (ready := await self._made_ready(drive, cartridge)) is not None:
                return ready
        raise CATALOGUE.error("no-cartridge", media_set=self.name, reasons=self._reasons())

    def _reasons(self) -> str:
        told = [
            f"{each.barcode} {each.complaint or self.room(each).word}"
            for each in self._catalogue.cartridges().values()
            if each.media_set == self.name
        ]
        return "; ".join(told) or "none is known"

    def present(self, after: Cartridge, last: Backup) -> TapeCatalogue:
        """What is known of the set, as it goes to tape behind a backup.

        :param after: the cartridge that it goes to, as it is then.
        """
        entries = self._catalogue.entries(self.name)
        entries.sort(key=lambda entry: entry.backup.number == last.number)
        known = {**self._catalogue.cartridges(), after.barcode: after}
        return TapeCatalogue(
            media_set=self.name,
            written_at=self._clock(),
            entries=tuple(entries),
            cartridges=tuple(each for each in known.values() if each.media_set == self.name),
        )

    def keep(self, cartridge: Cartridge) -> None:
        """Remember a cartridge as it now is."""
        self._catalogue.keep(cartridge)

    def index_of(self, backup: Backup) -> Path:
        """The file with the names in a backup."""
        return self._catalogue.index_of(backup.number)

    async def _made_ready(self, drive: Drive, cartridge: Cartridge) -> Cartridge | None:
        """The cartridge as it may be written to; ``None`` with a complaint in
        the catalogue if it may not.
        """
        await drive.load(cartridge.barcode)
        try:
            room = self.room(cartridge)
            may_be_blank = self._settings.labels_blank
            start = await self.require_label(drive, cartridge, may_be_blank=may_be_blank)
            await drive.require_writable()
            if start is not None:
                await self._require_end(drive, cartridge, start)
            if room.begins_anew:
                return await self.label(drive, cartridge, room.forgotten, start)
        except TapekitError as problem:
            if not is_about_the_tape(problem):
                raise
            complained = msgspec.structs.replace(cartridge, complaint=str(problem))
            self._catalogue.keep(complained)
            return None
        return cartridge

    async def require_label(
        self, drive: Drive, cartridge: Cartridge, *, may_be_blank: bool
    ) -> bytes | None:
        """Compare the tape with what the catalogue expects; gives what it
        begins with.

        :param may_be_blank: whether one that has never had a label may get one.
        :raises TapekitError: it says something else.
        """
        start = await drive.read_start()
        if start is None:
            if cartridge.label is None and not may_be_blank:
                raise CATALOGUE.error("not-labelled", barcode=cartridge.barcode)
            if cartridge.label is None or cartridge.next_label is not None:
                return None
        label = None if start is None else decode_label(start)
        expected = {cartridge.label, cartridge.next_label} - {None}
        if label is None or label.identifier not in expected or label.barcode != cartridge.barcode:
            if _is_by_another(label, cartridge, self.name):
                await self._require_nothing_newer(drive, cartridge, 1)
            raise CATALOGUE.error(
                "wrong-label",
                barcode=cartridge.barcode,
                found=_told(start, label),
                expected=" or ".join(sorted(filter(None, expected))) or "a blank tape",
            )
        return start

    async def _require_end(self, drive: Drive, cartridge: Cartridge, start: bytes) -> None:
        """Compare where the tape ends with what the catalogue expects; what a
        failed run left there may be written over. This is asked of expired
        cartridges too: a catalogue that is an old copy takes for expired what
        its successor has gone on with.

        :raises TapekitError: it ends elsewhere.
        """
        label = decode_label(start)
        assert label is not None
        is_begun = label.identifier == cartridge.next_label
        if cartridge.is_full and not is_begun:
            return
        end = 1 if is_begun else cartridge.next_file
        if await drive.ends_before(end):
            return
        await self._require_nothing_newer(drive, cartridge, end)
        is_known = cartridge.has_rest or any(
            part.file == cartridge.next_file and part.label == cartridge.label
            for _, part in self._catalogue.on(cartridge.barcode)
        )
        if not is_known:
            raise CATALOGUE.error(
                "unknown-data", barcode=cartridge.barcode, file=cartridge.next_file
            )

    async def _require_nothing_newer(self, drive: Drive, cartridge: Cartridge, end: int) -> None:
        """Look whether a tape goes on with backups that ended well and that
        the catalogue has never known as such: then it is an old copy.

        :raises TapekitError: so it is; it is not to be written by at all.
        """
        files = await files_from(end, drive)
        told = [each.catalogue for each in files if each.catalogue is not None]
        if newer := unknown_to(self._catalogue.known(), told):
            raise CATALOGUE.raised_as(
                OldCatalogueError,
                "catalogue-is-old",
                barcode=cartridge.barcode,
                backups=", ".join(each.name for each in newer),
                media_set=self.name,
            )

    async def label(
        self,
        drive: Drive,
        cartridge: Cartridge,
        forgotten: tuple[int, ...],
        start: bytes | None,
    ) -> Cartridge:
        """Give the cartridge in the drive a new label and nothing behind it.

        :param forgotten: backups that end by that, and with them all that
            build on them.
        :param start: what the tape was seen to begin with.
        """
        new = self._new_label()
        begun = msgspec.structs.replace(
            cartridge, media_set=self.name, next_label=new, complaint=""
        )
        ended = with_increments(forgotten, self._catalogue.backups())
        self._catalogue.keep(begun, without=ended)
        label = Label(
            barcode=cartridge.barcode,
            media_set=self.name,
            identifier=new,
            written_at=int(self._clock()),
        )
        await drive.write_label(label, start=start)
        done = Cartridge(barcode=cartridge.barcode, media_set=self.name, label=new)
        self._catalogue.keep(done)
        return done


def is_about_the_tape(problem: TapekitError) -> bool:
    """Whether another cartridge may do better; a drive that somebody else
    has, or a session that is lost, says nothing about a cartridge.
    """
    if isinstance(problem, NdmpReplyError):
        return problem.code in _OF_TAPES
    return not isinstance(problem, (ConnectionLost, OldCatalogueError))


def _is_by_another(label: Label | None, cartridge: Cartridge, media_set: str) -> bool:
    """Whether a label is one that another catalogue has given this cartridge."""
    return label is not None and (label.barcode, label.media_set) == (cartridge.barcode, media_set)


def _told(start: bytes | None, label: Label | None) -> str:
    if label is not None:
        return f"label {label.identifier} of {label.barcode}"
    return "a blank tape" if start is None else "data without a label"
