from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.marks import (
    PREFIXES,
    AlignMark,
    LunMark,
    Mark,
    Marks,
    OriginMark,
    QtreeMark,
    SecurityStyle,
    SnapLock,
    WormMark,
    decode_mark,
    encode_mark,
    is_mark,
)

if TYPE_CHECKING:
    from pathlib import Path

MARKS = st.one_of(
    st.builds(
        QtreeMark,
        id=st.integers(1, 4994),
        security_style=st.sampled_from(SecurityStyle),
        oplocks=st.booleans(),
        is_read_only=st.booleans(),
    ),
    st.builds(LunMark, serial=st.text(max_size=64), is_mapped=st.booleans()),
    st.builds(WormMark, retained_until_s=st.integers(0, 2**63 - 1)),
    st.builds(AlignMark, sectors=st.integers(0, 2**63 - 1)),
    st.builds(OriginMark, snaplock=st.sampled_from(SnapLock)),
)

KINDS = ("qtree", "lun", "worm", "vm-align")


@given(MARKS, st.sampled_from(PREFIXES))
def test_marks_come_back_from_their_attributes(mark: Mark, prefix: str) -> None:
    assert is_mark(prefix + mark.kind)
    assert decode_mark(prefix + mark.kind, encode_mark(mark)) == mark


@given(st.sampled_from([*KINDS, "origin", "else"]), st.binary())
def test_any_bytes_are_a_mark_or_none(kind: str, value: bytes) -> None:
    mark = decode_mark(PREFIXES[0] + kind, value)
    assert mark is None or mark.kind == kind


@pytest.mark.parametrize(
    "value",
    [b"", b"{}", b'{"id":0}', b'{"id":4995}', b'{"id":1,"security_style":"vms"}'],
)
def test_a_mark_that_cannot_be_understood_is_none(value: bytes) -> None:
    assert decode_mark("user.tapekit.qtree", value) is None


def test_a_long_value_is_no_mark() -> None:
    value = b'{"id":1' + b" " * 1024 + b"}"
    assert decode_mark("user.tapekit.qtree", value) is None


def test_later_fields_do_no_harm() -> None:
    assert decode_mark("user.tapekit.qtree", b'{"id":7,"later":true}') == QtreeMark(id=7)


def test_other_attributes_are_no_marks() -> None:
    assert not is_mark("user.comment")
    assert decode_mark("user.comment", b'{"id":1}') is None


def test_a_mark_is_written_read_and_removed(tmp_path: Path) -> None:
    marks = Marks(PREFIXES[1])
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert marks.read(fd, QtreeMark) is None
        marks.write(fd, QtreeMark(id=3))
        assert marks.read(fd, QtreeMark) == QtreeMark(id=3)
        assert marks.read(fd, LunMark) is None
        marks.remove(fd, QtreeMark)
        assert marks.read(fd, QtreeMark) is None
    finally:
        os.close(fd)


def test_a_mark_is_read_below_a_directory_and_never_through_a_link(tmp_path: Path) -> None:
    marks = Marks(PREFIXES[1])
    (tmp_path / "qtree").mkdir()
    (tmp_path / "link").symlink_to("qtree")
    os.setxattr(tmp_path / "qtree", "user.tapekit.qtree", b'{"id":5}')
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert marks.read_below(fd, b"qtree", QtreeMark) == QtreeMark(id=5)
        assert marks.read_below(fd, b"link", QtreeMark) is None
        assert marks.read_below(fd, b"missing", QtreeMark) is None
    finally:
        os.close(fd)


def test_only_the_usable_namespace_counts(tmp_path: Path) -> None:
    marks = Marks()
    other = PREFIXES[1 - PREFIXES.index(marks.prefix)]
    assert marks.attribute(QtreeMark(id=2)) == (
        f"{marks.prefix}qtree",
        encode_mark(QtreeMark(id=2)),
    )
    if other == PREFIXES[1]:
        os.setxattr(tmp_path, f"{other}qtree", b'{"id":2}')
        fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        assert marks.read(fd, QtreeMark) is None
        os.close(fd)


def test_what_users_can_set_is_void_where_it_does_not_count() -> None:
    trusted, users = (Marks(prefix).void for prefix in PREFIXES)
    assert users == {"trusted.tapekit.origin", "user.tapekit.origin"}
    assert trusted == users | {f"user.tapekit.{kind}" for kind in KINDS}
