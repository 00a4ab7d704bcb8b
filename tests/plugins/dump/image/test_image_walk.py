"""Walks through images that nobody vouches for."""

from __future__ import annotations

import stat
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plugins.dump.image.conftest import example

from tapekit.errors import TapekitError
from tapekit.streams import StreamReader
from tapekit.testing.memory_connection import MemorySource
from tapekit.testing.memory_services import MemoryServices
from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.image_job import whole_image
from tapekit_dump.image_listing import long_line, row_of
from tapekit_dump.image_walk import ImageWalk, PassOver, ReadAll
from tapekit_dump.recover_catalogue import Catalogue
from tapekit_dump.recover_findings import Findings
from tapekit_dump.recover_selection import branches
from tapekit_dump.spool import SpoolRoom

SOUND = example().end()


def walked(data: bytes, *, reads: bool = True, names_in_memory: int = 1000) -> tuple[Any, Findings]:
    """The members of an image, and what was lost."""
    findings = Findings(MemoryServices(), 10)
    room = SpoolRoom(None, 65536)
    catalogue = Catalogue(branches((whole_image(),)), findings, room, names_in_memory)
    taker = ReadAll() if reads else PassOver()
    reader = StreamReader(MemorySource(data))
    try:
        return list(ImageWalk(reader, catalogue, findings, taker).members()), findings
    finally:
        catalogue.close()
        reader.close()


def is_sound(findings: Findings) -> bool:
    return not (findings.losses or findings.damages or findings.has_ended_early)


@pytest.mark.parametrize("reads", [True, False])
def test_directories_come_before_all_else(reads: bool) -> None:
    members, findings = walked(SOUND, reads=reads)
    kinds = [stat.S_ISDIR(member.attributes.mode) for member in members]
    assert kinds == sorted(kinds, reverse=True)
    assert len(members) == 8
    assert is_sound(findings)


def test_names_beyond_memory_come_from_the_spool() -> None:
    assert walked(SOUND, names_in_memory=2)[0] == walked(SOUND)[0]


@pytest.mark.parametrize("records", range(1, len(SOUND) // RECORD_BYTES))
def test_no_cut_image_counts_as_sound(records: int) -> None:
    try:
        _, findings = walked(SOUND[: records * RECORD_BYTES])
    except TapekitError:
        return
    assert not is_sound(findings)


def test_a_directory_behind_files_is_told(dump: Any) -> None:
    stream = dump().begin().directory(2, [(b"a", 3, 8), (b"b", 4, 4)]).file(3)
    _, findings = walked(stream.directory(4).end())
    assert findings.losses == 2


def test_times_that_no_calendar_has_are_shown_as_numbers(dump: Any) -> None:
    """UFS2 has times of 64 bits, and nobody has checked them."""
    extra = [(96, "q", 2**62), (88, "q", -(2**62))]
    stream = dump(magic=0x19540119, extra=[*extra, (896, "q", 1_600_000_000)]).begin()
    stream.directory(2, [(b"file", 3, 8)]).file(3)
    members, findings = walked(stream.end())
    assert is_sound(findings)
    assert [long_line(member).split()[0] for member in members] == ["drwxr-xr-x", "-rw-r--r--"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, len(SOUND) - 1), st.binary(min_size=1, max_size=12)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_a_hostile_image_ends_with_its_losses_or_an_error_of_ours(
    changes: list[tuple[int, bytes]], reseals: bool
) -> None:
    data = bytearray(SOUND)
    for offset, change in changes:
        data[offset : offset + len(change)] = change
        if reseals:
            start = offset // RECORD_BYTES * RECORD_BYTES
            record = bytes(data[start : start + RECORD_BYTES].ljust(RECORD_BYTES, b"\0"))
            data[start : start + RECORD_BYTES] = example().sealed(record)
    try:
        members, _ = walked(bytes(data))
    except TapekitError:
        return
    for member in members:
        assert b".." not in member.path.split(b"/")
        assert long_line(member)
        assert row_of(member).path
