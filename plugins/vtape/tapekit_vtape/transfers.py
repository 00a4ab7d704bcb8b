"""Cartridges into files of other programs, and such files onto cartridges.

Records are read and written straight from and to a cartridge that no drive
has. The one rule: a file that turns out to be bad, or too long, leaves the
cartridge as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.cartridge import FILEMARK_COST_BYTES
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.images import LONGEST_RECORD, READERS, WRITERS, ImageError, ImageFormat
from tapekit_vtape.index_format import FRAME_BYTES
from tapekit_vtape.tape_map import FILEMARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.images import Item, ReadChoice

__all__ = ["Imported", "export_image", "import_image"]


class Imported(NamedTuple):
    """What came onto a cartridge."""

    records: int
    filemarks: int
    length: int
    """Bytes of the records."""


class _Batch(NamedTuple):
    """Neighbours that are alike: records of one length, or filemarks."""

    length: int
    records: list[bytes]

    @property
    def is_full(self) -> bool:
        """Whether it is enough for one write."""
        return len(self.records) * max(self.length, FILEMARK_COST_BYTES) >= FRAME_BYTES


def export_image(
    cartridge: Cartridge,
    kind: ImageFormat,
    write: Callable[[bytes | memoryview], object],
    first: int = 0,
    stop: int | None = None,
) -> None:
    """Write what is between two positions of a cartridge as a file.

    :raises TapeError: the cartridge cannot be read.
    :raises TapekitError: the format cannot hold a record.
    """
    last = cartridge.tape.objects if stop is None else stop
    if kind is ImageFormat.RAW:
        for data in cartridge.contents(first, last):
            write(data)
    else:
        _require_short(cartridge, kind, first, last)
        WRITERS[kind](_items(cartridge, first, last), write)


def _require_short(cartridge: Cartridge, kind: ImageFormat, first: int, stop: int) -> None:
    for run in cartridge.tape.runs:
        is_meant = run.first_object < stop and run.stop_object > first
        if is_meant and run.length > LONGEST_RECORD:
            raise CATALOGUE.error(
                "image-record-too-long",
                barcode=cartridge.header.barcode,
                length=run.length,
                format=kind.value,
                most=LONGEST_RECORD,
            )


def _items(cartridge: Cartridge, first: int, stop: int) -> Iterator[Item]:
    tape = cartridge.tape
    for position in range(first, stop):
        run = tape.run_at(position)
        assert run is not None
        yield None if run.length == FILEMARK else cartridge.read(position, run.length)


def import_image(
    cartridge: Cartridge, kind: ImageFormat, file: BinaryIO, path: str, choice: ReadChoice
) -> Imported:
    """Append what a file holds to a cartridge, all of it or nothing.

    :param path: the file's name, for messages.
    :raises TapekitError: the file is bad; the cartridge is full, is protected
        or cannot be written.
    """
    header, start = cartridge.header, cartridge.tape.objects
    cartridge.refuse_damage(start)
    if header.is_protected:
        raise CATALOGUE.error("import-protected", barcode=header.barcode)
    before = cartridge.tape.data_bytes, cartridge.tape.marks
    try:
        for batch in _batches(READERS[kind](file, choice)):
            _append(cartridge, batch)
        cartridge.sync()
    except BaseException as error:
        cartridge.cut(start)
        if isinstance(error, ImageError):
            raise CATALOGUE.error(
                "image-unreadable",
                path=path,
                format=kind.value,
                offset=error.offset,
                reason=error.reason,
            ) from error
        raise
    tape = cartridge.tape
    marks = tape.marks - before[1]
    return Imported(tape.objects - start - marks, marks, tape.data_bytes - before[0])


def _batches(items: Iterable[bytes | None]) -> Iterator[_Batch]:
    batch = _Batch(FILEMARK, [])
    for item in items:
        data = item or b""
        if batch.records and (len(data) != batch.length or batch.is_full):
            yield batch
            batch = _Batch(len(data), [])
        if not batch.records:
            batch = _Batch(len(data), [])
        batch.records.append(data)
    if batch.records:
        yield batch


def _append(cartridge: Cartridge, batch: _Batch) -> None:
    tape, count = cartridge.tape, len(batch.records)
    cost = count * (batch.length or FILEMARK_COST_BYTES)
    if cartridge.used(tape.objects) + cost > cartridge.header.capacity:
        raise CATALOGUE.raised_as(
            TapeError,
            "end-of-medium",
            condition=Condition.END_OF_MEDIUM,
            barcode=cartridge.header.barcode,
            used=cartridge.used(tape.objects),
            capacity=cartridge.header.capacity,
        )
    if batch.length == FILEMARK:
        cartridge.write_filemarks(tape.objects, count)
    else:
        pieces = [memoryview(record) for record in batch.records]
        cartridge.write_records(tape.objects, pieces, count, batch.length)
