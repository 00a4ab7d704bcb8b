"""Directory contents: the worked example, round trips, and what hostile tapes have."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.directories import (
    BLOCK_BYTES,
    DecodedEntry,
    DirectoryEncoder,
    EntryFault,
    EntryType,
    decode_entries,
)

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, 47} & set(name) and name not in {b".", b".."}
)
ENTRIES = st.lists(st.tuples(st.integers(1, 2**32 - 1), st.sampled_from(EntryType), NAMES))

EXAMPLE = bytes.fromhex(
    "02000000 0c00 04 01 2e000000 02000000 0c00 04 02 2e2e0000"
    "03000000 1000 08 05 68656c6c6f000000 04000000 d801 0a 02 6c6e0000"
).ljust(BLOCK_BYTES, b"\0")


def entry(
    inode: int, length: int, name: bytes, *, order: str = "<", kind: int = EntryType.REGULAR
) -> bytes:
    """An entry as it stands on tape, of any declared length."""
    head = struct.pack(f"{order}IHBB", inode, length, kind, len(name) & 0xFF)
    return (head + name).ljust(max(length, 8), b"\0")


def dots(order: str = "<") -> bytes:
    return entry(2, 12, b".", order=order) + entry(2, 12, b"..", order=order)


def found(content: bytes, **options: object) -> list[tuple[int, bytes, EntryFault | None]]:
    """Number, name and fault of what comes after the first two."""
    entries = list(decode_entries(content, **options))  # type: ignore[arg-type] # per test
    assert [known.name for known in entries[:2]] == [b".", b".."]
    return [(known.inode, known.name, known.fault) for known in entries[2:]]


def encoded(entries: list[tuple[int, EntryType, bytes]], number: int = 2, parent: int = 2) -> bytes:
    encoder = DirectoryEncoder(number, parent)
    encoder.add(entries)
    return encoder.finish()


def test_worked_example_is_written() -> None:
    entries = [(3, EntryType.REGULAR, b"hello"), (4, EntryType.SYMLINK, b"ln")]
    assert encoded(entries) == EXAMPLE


def test_worked_example_is_read() -> None:
    assert list(decode_entries(EXAMPLE)) == [
        DecodedEntry(2, 4, b".", 0, None),
        DecodedEntry(2, 4, b"..", 12, None),
        DecodedEntry(3, 8, b"hello", 24, None),
        DecodedEntry(4, 10, b"ln", 40, None),
    ]


def test_empty_directory_is_one_block() -> None:
    content = encoded([], 7, 5)
    assert len(content) == BLOCK_BYTES
    assert [(e.inode, e.name) for e in decode_entries(content)] == [(7, b"."), (5, b"..")]
    assert struct.unpack_from("<H", content, 16) == (500,)


@given(ENTRIES, st.lists(st.integers(0, 30)))
def test_entries_come_back_in_their_order(
    entries: list[tuple[int, EntryType, bytes]], cuts: list[int]
) -> None:
    encoder = DirectoryEncoder(9, 2)
    content, rest = b"", entries
    for cut in cuts:
        encoder.add(rest[:cut])
        rest = rest[cut:]
        taken = encoder.take()
        assert len(taken) % BLOCK_BYTES == 0
        content += taken
    encoder.add(rest)
    content += encoder.finish()
    assert len(content) % BLOCK_BYTES == 0
    decoded = list(decode_entries(content))
    assert [(e.inode, e.kind, e.name) for e in decoded[2:]] == entries
    assert all(e.fault is None for e in decoded)


@given(ENTRIES)
def test_no_entry_crosses_a_block_and_none_leaves_a_gap(
    entries: list[tuple[int, EntryType, bytes]],
) -> None:
    content, at = encoded(entries), 0
    while at < len(content):
        length = struct.unpack_from("<H", content, at + 4)[0]
        assert length >= 12
        assert at // BLOCK_BYTES == (at + length - 1) // BLOCK_BYTES
        at += length
    assert at == len(content)


def test_unnumbered_entries_can_be_filled_in_later() -> None:
    encoder = DirectoryEncoder(2, 2)
    content = b""
    for name in (b"a" * 200, b"b" * 200, b"c" * 200, b"d" * 200):
        encoder.add([(0, EntryType.REGULAR, name), (5, EntryType.REGULAR, b"x")])
        content += encoder.take()
    patched = bytearray(content + encoder.finish())
    for number, offset in enumerate(encoder.unnumbered, 100):
        struct.pack_into("<I", patched, offset, number)
    numbers = [e.inode for e in decode_entries(patched) if len(e.name) == 200]
    assert numbers == [100, 101, 102, 103]


def test_names_of_255_bytes_are_whole() -> None:
    entries = [(3, EntryType.REGULAR, b"n" * 255), (4, EntryType.REGULAR, b"m" * 255)]
    assert [(e.inode, e.name) for e in decode_entries(encoded(entries))][2:] == [
        (3, b"n" * 255),
        (4, b"m" * 255),
    ]


def test_big_endian_entries_are_read() -> None:
    content = dots(">") + entry(3, 488, b"hello", order=">")
    assert found(content, byte_order=">") == [(3, b"hello", None)]


def test_old_format_has_wide_name_lengths_and_no_types() -> None:
    content = b"".join(
        struct.pack("<IHH", inode, length, len(name)) + name.ljust(length - 8, b"\0")
        for inode, length, name in ((2, 12, b"."), (2, 12, b".."), (3, 488, b"old"))
    )
    assert found(content, old_format=True) == [(3, b"old", None)]
    assert {e.kind for e in decode_entries(content, old_format=True)} == {EntryType.UNKNOWN}


def test_blocks_of_1024_bytes_are_read() -> None:
    content = dots() + entry(3, 900, b"wide") + entry(4, 100, b"last")
    assert found(content) == [(3, b"wide", None), (4, b"last", None)]


def test_empty_slots_are_passed_over() -> None:
    content = dots() + entry(0, 100, b"removed") + entry(4, 388, b"kept")
    assert found(content) == [(4, b"kept", None)]


def test_name_that_the_next_entry_overwrites_keeps_its_number() -> None:
    # What Debian's dump writes for a name of 255 bytes.
    content = dots() + entry(7, 8, b"")[:7] + b"\xff" + entry(8, 480, b"next")
    assert found(content) == [(7, b"", EntryFault.OVERWRITTEN), (8, b"next", None)]


@pytest.mark.parametrize("length", [0, 4, 7, 13, 1004, 65532])
def test_impossible_length_costs_its_block_only(length: int) -> None:
    broken = dots() + struct.pack("<IHBB", 7, length, 8, 3) + b"bad\0"
    content = broken.ljust(BLOCK_BYTES, b"\xaa") + entry(8, 512, b"good") + bytes(512)
    decoded = found(content)
    assert decoded[0] == (7, b"", EntryFault.LENGTH)
    assert decoded[1] == (8, b"good", None)


def test_directory_that_ends_inside_an_entry_says_so() -> None:
    content = dots() + entry(7, 488, b"cut")[:100]
    assert found(content) == [(7, b"", EntryFault.TRUNCATED)]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"", EntryFault.EMPTY_NAME),
        (b"a/b", EntryFault.SLASH),
        (b"/", EntryFault.SLASH),
        (b"a\0b", EntryFault.NUL),
        (b".", EntryFault.DOT),
        (b"..", EntryFault.DOT),
        (b"...", None),
    ],
)
def test_names_that_no_file_can_have_are_marked(name: bytes, fault: EntryFault | None) -> None:
    content = dots() + entry(7, 488, name)
    assert found(content) == [(7, name, fault)]


def test_dots_in_the_wrong_order_are_marked() -> None:
    content = entry(2, 12, b"..") + entry(2, 500, b".")
    assert [e.fault for e in decode_entries(content)] == [EntryFault.DOT, EntryFault.DOT]


@given(st.binary(max_size=4096), st.sampled_from("<>"), st.booleans())
def test_anything_is_read_to_its_end(content: bytes, order: str, old_format: bool) -> None:
    offsets = [e.offset for e in decode_entries(content, order, old_format=old_format)]
    assert offsets == sorted(set(offsets))
    assert all(offset + 8 <= len(content) for offset in offsets)


@given(ENTRIES, st.data())
def test_damaged_content_gives_only_marked_or_possible_names(
    entries: list[tuple[int, EntryType, bytes]], data: st.DataObject
) -> None:
    content = bytearray(encoded(entries))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for known in decode_entries(content):
        if known.fault is None:
            assert known.name
            assert not {0, 47} & set(known.name)
