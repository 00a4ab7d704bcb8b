"""What a catalogue takes in of what tapes tell: numbers, bases, other sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tapekit_dma.label import Label
from tapekit_dma.rebuilding import Known, Seen, rebuilt, unknown_to
from tapekit_dma.records import Backup, Cartridge, Entry, Part, State
from tapekit_dma.tape_catalogue import TapeCatalogue
from tapekit_dma.tape_walk import SeenFile

if TYPE_CHECKING:
    from tapekit_dma.rebuilding import Rebuilt

NOTHING = Known(entries=(), backups={}, cartridges={}, highest=0)


def entry(
    number: int, file: int, *, base: int | None = None, label: str = "x", path: str = "/vol"
) -> Entry:
    backup = Backup(
        number=number,
        media_set="weekly",
        server="filer",
        path=path,
        butype="dump",
        level=0 if base is None else 1,
        base=base,
        state=State.GOOD,
        started_at=float(file),
        record_size=65536,
    )
    return Entry(backup, (Part(barcode="A1", label=label, file=file, offset=0, length=9),))


def told(*entries: Entry) -> TapeCatalogue:
    return TapeCatalogue(
        media_set="weekly",
        written_at=0.0,
        entries=entries,
        cartridges=(Cartridge(barcode="A1", media_set="weekly", label="x", next_file=9),),
    )


def seen(*catalogues: TapeCatalogue, label: str = "x") -> Seen:
    """A cartridge with a backup and a catalogue by turns."""
    files = []
    for number, catalogue in enumerate(catalogues):
        files.append(SeenFile(file=2 * number + 1, is_ended=True))
        files.append(
            SeenFile(file=2 * number + 2, is_ended=True, is_catalogue=True, catalogue=catalogue)
        )
    return Seen(Label(barcode="A1", media_set="weekly", identifier=label, written_at=0), files)


def known(*entries: Entry, failed: tuple[Entry, ...] = (), highest: int = 0) -> Known:
    backups = {each.backup.number: each.backup for each in entries}
    for each in failed:
        backups[each.backup.number] = msgspec.structs.replace(each.backup, state=State.FAILED)
    return Known(
        entries=entries,
        backups=backups,
        cartridges={},
        highest=max([highest, *backups]),
    )


def taken(found: Rebuilt) -> list[tuple[int, int | None, int]]:
    """Numbers, bases and tape files."""
    return [(each.backup.number, each.backup.base, each.parts[0].file) for each in found.entries]


def test_all_of_an_empty_catalogue_comes_from_tape() -> None:
    first, second = entry(4, 1), entry(7, 3, base=4)
    found = rebuilt(NOTHING, [seen(told(first), told(first, second))], with_forgotten=False)
    assert taken(found) == [(4, None, 1), (7, 4, 3)]
    (cartridge,) = found.cartridges
    assert (cartridge.label, cartridge.next_file, cartridge.complaint) == ("x", 5, "")


def test_a_number_that_another_backup_has_changes_with_all_that_builds_on_it() -> None:
    here = known(entry(1, 1), entry(2, 5, label="y"))
    tapes = seen(told(entry(1, 1)), told(entry(1, 1), entry(2, 3), entry(3, 5, base=2)))
    found = rebuilt(here, [tapes], with_forgotten=False)
    assert taken(found) == [(4, None, 3), (3, 4, 5)]
    assert [each.verdict for each in found.verdicts] == [
        "known",
        "taken in; it was number 2",
        "taken in",
    ]


def test_a_backup_that_failed_here_gives_way_to_itself_and_to_no_other() -> None:
    mine = rebuilt(known(failed=(entry(1, 1),)), [seen(told(entry(1, 1)))], with_forgotten=False)
    assert taken(mine) == [(1, None, 1)]
    other = rebuilt(known(failed=(entry(1, 3),)), [seen(told(entry(1, 1)))], with_forgotten=False)
    assert taken(other) == [(2, None, 1)]


def test_what_builds_on_something_that_is_gone_is_not_taken_in() -> None:
    tapes = seen(told(entry(1, 1, label="before"), entry(2, 3, base=1)))
    found = rebuilt(NOTHING, [tapes], with_forgotten=False)
    assert taken(found) == []
    assert [each.verdict for each in found.verdicts] == [
        "written over",
        "what it builds on is gone",
    ]


def test_a_base_of_another_set_keeps_its_number_unless_another_backup_has_it() -> None:
    tapes = seen(told(entry(8, 1, base=5)))
    assert taken(rebuilt(NOTHING, [tapes], with_forgotten=False)) == [(8, 5, 1)]
    here = known(entry(5, 1, label="y"))
    assert taken(rebuilt(here, [tapes], with_forgotten=False)) == [(8, 5, 1)]
    here = known(entry(5, 1, label="y", path="/other"))
    assert taken(rebuilt(here, [tapes], with_forgotten=False)) == []


def test_only_what_was_never_known_shows_an_old_copy() -> None:
    catalogue = told(entry(1, 1), entry(2, 3), entry(3, 5))
    here = known(entry(1, 1), highest=2)
    assert [each.number for each in unknown_to(here, [catalogue])] == [3]
    here = known(entry(1, 1), failed=(entry(2, 3),), highest=3)
    assert [each.number for each in unknown_to(here, [catalogue])] == [2]
    assert unknown_to(known(entry(1, 1), highest=3), [catalogue]) == []
