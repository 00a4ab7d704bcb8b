"""Attributes as headers give them and as many are kept."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.headers import MAGIC, unpack_header
from tapekit_dump.recover_attributes import Attributes, AttributeSetter

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.errors import TapekitError

WORD = st.integers(0, 2**32 - 1)


@given(
    values=st.fixed_dictionaries(
        {
            "mode": st.integers(0, 2**16 - 1),
            "uid": WORD,
            "gid": WORD,
            "atime_s": WORD,
            "atime_us": WORD,
            "mtime_s": WORD,
            "mtime_us": WORD,
            "inode_flags": WORD,
        }
    ),
    order=st.sampled_from("<>"),
)
def test_whatever_a_header_says_can_be_kept(dump: Any, values: dict[str, int], order: str) -> None:
    header = unpack_header(dump.record(order, magic=MAGIC, **values))
    attributes = Attributes.of(header, old_format=False)
    assert Attributes.unpack(attributes.pack()) == attributes
    assert attributes.mode == values["mode"]
    assert attributes.permissions == values["mode"] & 0o7777
    assert attributes.flags == values["inode_flags"] & 0x70
    assert attributes.mtime_ns == values["mtime_s"] * 10**9 + values["mtime_us"] * 1000


def test_the_old_format_has_owners_in_16_bits(dump: Any) -> None:
    header = unpack_header(dump.record(magic=MAGIC, uid=70_000, gid=80_000, low_uid=5, low_gid=6))
    assert Attributes.of(header, old_format=True)[2:4] == (5, 6)
    assert Attributes.of(header, old_format=False)[2:4] == (70_000, 80_000)


def test_each_attribute_that_fails_is_told_by_name() -> None:
    told: list[TapekitError] = []
    setter = AttributeSetter(told.append)
    attributes = Attributes(stat.S_IFREG | 0o644, 0x10, os.getuid(), os.getgid(), 0, 0)
    # A pipe has owner, mode and times, but no flags and no attributes.
    end, other = os.pipe()
    try:
        setter.finish(end, attributes, [b"junk"], lambda: "/a/pipe")
        setter.set_flags(end, attributes.flags, lambda: "/a/pipe")
    finally:
        os.close(end)
        os.close(other)
    assert [error.id for error in told] == ["dump.attributes-lost", "dump.attribute-not-restored"]
    assert str(told[1]).startswith("/a/pipe: flags could not be set: ")


def test_a_closed_file_fails_in_everything(tmp_path: Path) -> None:
    told: list[TapekitError] = []
    attributes = Attributes(stat.S_IFREG | 0o644, 0, 1, 1, 0, 0)
    AttributeSetter(told.append).finish(-1, attributes, (), lambda: "/f")
    assert [error.facts["what"] for error in told] == ["owner", "mode", "times"]
