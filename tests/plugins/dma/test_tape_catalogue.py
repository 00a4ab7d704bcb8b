"""Catalogue tape files say what was written, or nothing."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dma.label import LABEL_BYTES
from tapekit_dma.records import Backup, Cartridge, Entry, Part, State
from tapekit_dma.tape_catalogue import (
    RECORD_BYTES,
    Section,
    TapeCatalogue,
    Unpacker,
    decode_entries,
    decode_head,
    encode_catalogue,
    pack,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = st.text(min_size=1, max_size=20)
PARTS = st.builds(Part, barcode=NAMES, label=NAMES, file=st.integers(1, 9), offset=st.just(0))
BACKUPS = st.builds(
    Backup,
    number=st.integers(1, 99),
    media_set=NAMES,
    server=NAMES,
    path=NAMES,
    butype=st.just("dump"),
    level=st.integers(0, 9),
    state=st.just(State.GOOD),
    started_at=st.floats(0, 1e9),
    record_size=st.just(65536),
    environment=st.lists(st.tuples(NAMES, NAMES), max_size=3).map(tuple),
)
CATALOGUES = st.builds(
    TapeCatalogue,
    media_set=st.just("weekly"),
    written_at=st.floats(0, 1e9),
    entries=st.lists(
        st.builds(Entry, BACKUPS, st.lists(PARTS, max_size=3).map(tuple)), max_size=30
    ).map(tuple),
    cartridges=st.lists(
        st.builds(Cartridge, barcode=NAMES, media_set=st.just("weekly")), max_size=5
    ).map(tuple),
)


def packed(index: bytes) -> tuple[io.BytesIO, Section]:
    target = io.BytesIO()
    with tempfile.NamedTemporaryFile() as file:
        file.write(index)
        file.flush()
        section = pack(Path(file.name), target)
    target.seek(0)
    return target, section


def sections(records: Sequence[bytes], entries: int) -> tuple[bytes, list[bytes]]:
    """The bytes of the entries, and the records of the index."""
    data = b""
    rest = list(records)
    while len(data) < entries:
        data += rest.pop(0)
    return data, rest


@given(CATALOGUES, st.binary(max_size=200_000))
def test_what_was_written_comes_back(catalogue: TapeCatalogue, index: bytes) -> None:
    head, *body = encode_catalogue(catalogue, *packed(index))
    assert len(head) == LABEL_BYTES
    assert all(0 < len(record) <= RECORD_BYTES for record in body)
    decoded = decode_head(head)
    assert decoded is not None
    data, rest = sections(body, decoded.entries.length)
    assert decode_entries(data, decoded.entries) == catalogue
    target = io.BytesIO()
    unpacker = Unpacker(target, decoded.index)
    for record in rest:
        assert unpacker.left
        unpacker.add(record)
    assert unpacker.is_whole
    assert target.getvalue() == index


@given(CATALOGUES, st.data())
def test_damaged_entries_are_none(catalogue: TapeCatalogue, data: st.DataObject) -> None:
    head, *body = encode_catalogue(catalogue, io.BytesIO(), Section(0, ""))
    decoded = decode_head(head)
    assert decoded is not None
    entries = bytearray(b"".join(body))
    place = data.draw(st.integers(0, len(entries) - 1))
    entries[place] ^= data.draw(st.integers(1, 255))
    assert decode_entries(bytes(entries), decoded.entries) is None
    assert decode_entries(bytes(entries[:place]), decoded.entries) is None


@given(st.binary(min_size=1, max_size=1000), st.data())
def test_damaged_indexes_are_not_whole(index: bytes, data: st.DataObject) -> None:
    target, section = packed(index)
    damaged = bytearray(target.getvalue())
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    unpacker = Unpacker(io.BytesIO(), section)
    unpacker.add(bytes(damaged))
    assert not unpacker.is_whole


@given(st.binary(max_size=200))
def test_other_records_are_no_head(record: bytes) -> None:
    assert decode_head(record) is None
    assert decode_head(b"TAPEKIT CATALOGUE 1\n" + record) is None
