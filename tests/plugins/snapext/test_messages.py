"""The rows of class 0x2050 and their bytes."""

from __future__ import annotations

from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.xdr import decode, encode
from tapekit_snapext import messages as s
from tapekit_snapext.numbers import CLASS_ID, SnapError, SnapMessage


def test_all_numbers_are_of_the_class_and_posts_begin_at_0x180() -> None:
    for number in (*SnapMessage, *SnapError):
        assert number >> 16 == CLASS_ID
    for message in SnapMessage:
        assert (message & 0xFFFF >= 0x180) == message.name.startswith("NOTIFY_")
    for row in s.EXCHANGES:
        assert row.name == SnapMessage(row.code).name
        assert row.is_post == (row.code & 0xFFFF >= 0x180)


def test_the_published_bodies_have_their_bytes() -> None:
    create = s.SnapCreateRequest(pathname="/vs1", snapname="ab")
    assert encode(create) == bytes.fromhex("00000004 2f767331 00000002 61620000")
    delete = s.SnapDeleteRequest(snapname="ab")
    assert encode(delete) == bytes.fromhex("00000002 61620000")


def test_an_error_of_the_class_is_told() -> None:
    reply = s.SnapRecoverReply(error=SnapError.BUSY_ERR.value)
    assert encode(reply) == bytes.fromhex("20500105")
    assert decode(s.SnapRecoverReply, bytes.fromhex("20500105")) == reply
    assert reply.error not in set(NdmpError)


def test_entries_come_back() -> None:
    entry = s.SnapEntry(name="a", file_type=4, size=2**40, mtime_s=9)
    reply = s.SnapDirListReply(error=0, cookie=2**62 + 1, entries=(entry, entry))
    assert decode(s.SnapDirListReply, encode(reply)) == reply
