"""What a catalogue takes in of what was found on cartridges: decisions alone.

A backup is known by the label and the tape file where it begins; numbers are
only its name here, and change where another backup has them. The one rule:
what the catalogue knows stays, and what has been forgotten since comes back
only if that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit_dma.records import Backup, Cartridge, Entry, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tapekit_dma.label import Label
    from tapekit_dma.tape_catalogue import TapeCatalogue
    from tapekit_dma.tape_walk import SeenFile

__all__ = ["Known", "Rebuilt", "Seen", "Verdict", "rebuilt", "unknown_to"]

_Place = tuple[str, int]


@final
class Seen(NamedTuple):
    """A cartridge that has been looked through."""

    label: Label
    files: Sequence[SeenFile]


@final
class Known(NamedTuple):
    """What the catalogue has."""

    entries: Sequence[Entry]
    """The good backups of all sets."""
    backups: Mapping[int, Backup]
    cartridges: Mapping[str, Cartridge]
    highest: int
    """The highest number that has ever been given out."""


@final
class Verdict(NamedTuple):
    """What became of a backup that was found."""

    number: int
    """Its number here, or the one that it had if it is not taken in."""
    path: str
    level: int
    cartridges: str
    verdict: str


@final
class Rebuilt(NamedTuple):
    """What is to be added."""

    entries: Sequence[Entry]
    cartridges: Sequence[Cartridge]
    indexes: Sequence[tuple[int, Path]]
    """File indexes, and the numbers of their backups."""
    verdicts: Sequence[Verdict]
    left_alone: Mapping[str, str]
    """Cartridges that have something that nobody knows, and what."""


def unknown_to(known: Known, told: Iterable[TapeCatalogue]) -> list[Backup]:
    """The backups that tapes tell of and that the catalogue has never known
    as good ones, the sign of an old copy.
    """
    places = {entry.place for entry in known.entries}
    found = {
        entry.place: entry.backup
        for catalogue in told
        for entry in catalogue.entries
        if entry.place not in places and not _is_forgotten(entry, known)
    }
    return list(found.values())


def _is_forgotten(entry: Entry, known: Known) -> bool:
    """Whether the catalogue has given the number out and has no backup of it."""
    number = entry.backup.number
    return number <= known.highest and number not in known.backups


def rebuilt(known: Known, seen: Sequence[Seen], *, with_forgotten: bool) -> Rebuilt:
    """Decide on all that was found on the cartridges of a set."""
    told = sorted(
        (
            file.catalogue
            for one in seen
            for file in one.files
            if file.catalogue is not None and file.catalogue.entries
        ),
        # Numbers go up whatever the clock does.
        key=lambda catalogue: (catalogue.entries[-1].backup.number, catalogue.written_at),
    )
    taking = _Taking(known, seen, told, with_forgotten=with_forgotten)
    for entry, catalogue in taking.found():
        taking.decide(entry, catalogue)
    media = _Media(known, seen, told, taking.taken)
    return Rebuilt(
        entries=taking.taken,
        cartridges=list(media.cartridges()),
        indexes=[
            (number, file.index)
            for one in seen
            for file in one.files
            if file.index is not None
            and file.catalogue is not None
            and (number := taking.number_of(file.catalogue.entries[-1])) is not None
        ],
        verdicts=taking.verdicts,
        left_alone=media.left_alone,
    )


@final
class _Taking:
    """Goes over what was found, bases before what builds on them."""

    def __init__(
        self,
        known: Known,
        seen: Sequence[Seen],
        told: Sequence[TapeCatalogue],
        *,
        with_forgotten: bool,
    ) -> None:
        self._known: Final = known
        self._told: Final = told
        self._with_forgotten: Final = with_forgotten
        self._labels: Final = {one.label.barcode: one.label.identifier for one in seen}
        self._newest: Final = {each.place for each in told[-1].entries} if told else set()
        self._numbers: Final[dict[_Place | None, int]] = {
            each.place: each.backup.number for each in known.entries
        }
        self._highest = max(
            [
                known.highest,
                *known.backups,
                *(entry.backup.number for each in told for entry in each.entries),
            ]
        )
        self.taken: Final[list[Entry]] = []
        self.verdicts: Final[list[Verdict]] = []

    def found(self) -> list[tuple[Entry, TapeCatalogue]]:
        """Each backup once, as the newest catalogue that has it tells of it."""
        places = {
            entry.place: (entry, catalogue)
            for catalogue in self._told
            for entry in catalogue.entries
            if entry.parts
        }
        return sorted(places.values(), key=lambda pair: pair[0].backup.number)

    def number_of(self, entry: Entry) -> int | None:
        """The number of a backup here; ``None`` if it is not in the catalogue."""
        return self._numbers.get(entry.place)

    def decide(self, entry: Entry, catalogue: TapeCatalogue) -> None:
        """Take a backup in, or say why not."""
        number = entry.backup.number
        if entry.place in self._numbers:
            return self._say(entry, self._numbers[entry.place], "known")
        if (refusal := self._refusal(entry)) is not None:
            return self._say(entry, number, refusal)
        base = self._base(entry.backup, catalogue)
        if entry.backup.base is not None and base is None:
            return self._say(entry, number, "what it builds on is gone")
        if not self._is_free(entry):
            self._highest += 1
            number = self._highest
        self._numbers[entry.place] = number
        backup = msgspec.structs.replace(entry.backup, number=number, base=base)
        self.taken.append(Entry(backup, entry.parts))
        is_renamed = number != entry.backup.number
        told = f"taken in; it was number {entry.backup.number}" if is_renamed else "taken in"
        return self._say(entry, number, told)

    def _refusal(self, entry: Entry) -> str | None:
        labels = [(part.label, self._labels.get(part.barcode)) for part in entry.parts]
        if any(there not in (None, label) for label, there in labels):
            return "written over"
        is_new = entry.place in self._newest and not _is_forgotten(entry, self._known)
        if is_new or (self._with_forgotten and any(there for _, there in labels)):
            return None
        return "forgotten"

    def _is_free(self, entry: Entry) -> bool:
        """Whether a backup can have the number here that it had."""
        number = entry.backup.number
        if number in {each.backup.number for each in self.taken}:
            return False
        here = self._known.backups.get(number)
        # One that failed here may be this very one: the catalogue is a copy
        # from the time when it ran.
        return here is None or (
            here.state is not State.GOOD
            and (here.server, here.path, here.started_at)
            == (entry.backup.server, entry.backup.path, entry.backup.started_at)
        )

    def _base(self, backup: Backup, catalogue: TapeCatalogue) -> int | None:
        """The number here of what a backup builds on; ``None`` if that is gone."""
        for each in catalogue.entries:
            if each.backup.number == backup.base:
                return self._numbers.get(each.place)
        # It is in another media set, which may be rebuilt later.
        here = None if backup.base is None else self._known.backups.get(backup.base)
        is_other = here is not None and (here.server, here.path) != (backup.server, backup.path)
        return None if is_other else backup.base

    def _say(self, entry: Entry, number: int, verdict: str) -> None:
        backup = entry.backup
        barcodes = ", ".join(part.barcode for part in entry.parts)
        self.verdicts.append(Verdict(number, backup.path, backup.level, barcodes, verdict))


@final
class _Media:
    """What is known of cartridges after all."""

    def __init__(
        self,
        known: Known,
        seen: Sequence[Seen],
        told: Sequence[TapeCatalogue],
        taken: Sequence[Entry],
    ) -> None:
        self._known: Final = known
        self._seen: Final = {one.label.barcode: one for one in seen}
        self._newest: Final = {one.barcode: one for one in told[-1].cartridges} if told else {}
        self._told: Final = {
            (part.barcode, part.label, part.file)
            for catalogue in told
            for entry in catalogue.entries
            for part in entry.parts
        }
        self._new: Final = {(part.barcode, part.label) for entry in taken for part in entry.parts}
        self._here: Final = {
            (part.barcode, part.label, part.file)
            for entry in (*known.entries, *taken)
            for part in entry.parts
        }
        self.left_alone: Final[dict[str, str]] = {}

    def cartridges(self) -> Iterable[Cartridge]:
        """Those that are new here, or of which more is known than before."""
        for one in self._seen.values():
            if (cartridge := self._looked_through(one)) is not None:
                yield cartridge
        for barcode, listed in self._newest.items():
            is_new = barcode not in self._known.cartridges or (barcode, listed.label) in self._new
            if barcode not in self._seen and is_new:
                yield listed

    def _looked_through(self, one: Seen) -> Cartridge | None:
        barcode, label = one.label.barcode, one.label.identifier
        data = [(barcode, label, each.file) for each in one.files if not each.is_catalogue]
        unknown = [place[-1] for place in data if place not in self._told | self._here]
        is_told = any((barcode, label) == place[:2] for place in self._here)
        if unknown:
            files = ", ".join(map(str, unknown))
            self.left_alone[barcode] = f"no catalogue tells of tape file {files}"
        elif data and not is_told:
            self.left_alone[barcode] = "all that is on it had been forgotten"
        here = self._known.cartridges.get(barcode)
        is_same = here is not None and label in (here.label, here.next_label)
        if is_same and (barcode, label) not in self._new:
            return None
        if unknown and not is_told:
            # Without a label in the catalogue it is never written to.
            return None
        if here is not None and not is_same and not (is_told or self._is_newest(one)):
            return None
        return self._as_found(one)

    def _is_newest(self, one: Seen) -> bool:
        newest = self._newest.get(one.label.barcode)
        return newest is not None and newest.label == one.label.identifier

    def _as_found(self, one: Seen) -> Cartridge:
        barcode = one.label.barcode
        newest = self._newest.get(barcode)
        ended = [each.file for each in one.files if each.is_ended]
        is_cut = any(not each.is_ended for each in one.files)
        return Cartridge(
            barcode=barcode,
            media_set=one.label.media_set,
            label=one.label.identifier,
            next_file=max(ended, default=0) + 1,
            is_full=is_cut or (newest is not None and self._is_newest(one) and newest.is_full),
            complaint=self.left_alone.get(barcode, ""),
        )
