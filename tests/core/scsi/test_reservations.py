"""Persistent reservations are read as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.malformed import Malformed
from tapekit.scsi.reservations import (
    MOST_KEY,
    Capabilities,
    FullStatus,
    MoveList,
    OutList,
    Registration,
    Reservation,
    ReservationKeys,
    ReservationType,
    decode_capabilities,
    decode_full_status,
    decode_keys,
    decode_move_list,
    decode_out_list,
    decode_reservation,
    encode_capabilities,
    encode_full_status,
    encode_keys,
    encode_move_list,
    encode_out_list,
    encode_reservation,
)

KEYS = st.integers(0, MOST_KEY)
NUMBERS = st.integers(0, 0xFFFF_FFFF)


def test_a_parameter_list_has_its_fields_where_the_standard_says() -> None:
    data = encode_out_list(OutList(0x0102030405060708, 0x1112131415161718, persists=True))
    assert data == bytes.fromhex("0102030405060708 1112131415161718 00000000 01 000000")


@given(KEYS, KEYS, st.booleans(), st.booleans())
def test_parameter_lists(key: int, service_key: int, persists: bool, names_others: bool) -> None:
    wanted = OutList(key, service_key, persists=persists, names_others=names_others)
    assert decode_out_list(encode_out_list(wanted)) == wanted


@given(NUMBERS, st.lists(KEYS, max_size=5))
def test_keys(generation: int, keys: list[int]) -> None:
    found = ReservationKeys(generation, tuple(keys))
    assert decode_keys(encode_keys(found)) == found


def test_keys_that_were_cut_off_are_left_out() -> None:
    data = encode_keys(ReservationKeys(3, (1, 2)))
    assert decode_keys(data[:-1]) == ReservationKeys(3, (1,))


@given(NUMBERS, KEYS, st.sampled_from([None, *ReservationType]))
def test_reservations(generation: int, key: int, kind: int | None) -> None:
    found = Reservation(generation, key if kind else 0, kind)
    assert decode_reservation(encode_reservation(found)) == found


@given(st.frozensets(st.sampled_from(list(ReservationType))), st.booleans(), st.booleans())
def test_capabilities(types: frozenset[int], can_persist: bool, persists: bool) -> None:
    found = Capabilities(types, can_persist, persists)
    assert decode_capabilities(encode_capabilities(found)) == found


def test_what_is_too_short_is_refused() -> None:
    for decode in (decode_out_list, decode_keys, decode_reservation, decode_capabilities):
        with pytest.raises(Malformed):
            decode(bytes(5))


def test_types_say_who_else_may_do_what() -> None:
    told = {
        kind.name: (kind.is_for_writing, kind.is_for_registrants, kind.is_held_by_all)
        for kind in ReservationType
    }
    assert told == {
        "WRITE_EXCLUSIVE": (True, False, False),
        "EXCLUSIVE_ACCESS": (False, False, False),
        "WRITE_EXCLUSIVE_REGISTRANTS": (True, True, False),
        "EXCLUSIVE_ACCESS_REGISTRANTS": (False, True, False),
        "WRITE_EXCLUSIVE_ALL": (True, True, True),
        "EXCLUSIVE_ACCESS_ALL": (False, True, True),
    }


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def test_another_initiator_is_named_where_the_standard_says() -> None:
    data = encode_move_list(MoveList(1, 2, "iqn.x:a", unregisters=True, persists=True))
    assert data == bytes.fromhex(
        "0000000000000001 0000000000000002 00 03 0000 00000018 05000014"
    ) + b"iqn.x:a".ljust(20, b"\0")


@given(KEYS, KEYS, NAMES, st.booleans(), st.booleans())
def test_move_lists(key: int, service: int, name: str, unregisters: bool, persists: bool) -> None:
    wanted = MoveList(key, service, name, unregisters=unregisters, persists=persists)
    assert decode_move_list(encode_move_list(wanted)) == wanted


@given(
    NUMBERS,
    st.lists(
        st.builds(Registration, KEYS, NAMES, st.none() | st.sampled_from(ReservationType)),
        max_size=4,
    ),
    st.integers(0, 40),
)
def test_full_status(generation: int, rows: list[Registration], cut: int) -> None:
    data = encode_full_status(FullStatus(generation, tuple(rows)))
    assert decode_full_status(data) == FullStatus(generation, tuple(rows))
    shorter = decode_full_status(data[: max(len(data) - cut, 8)])
    assert list(shorter.registrations) == rows[: len(shorter.registrations)]


@pytest.mark.parametrize("length", [0, 23, 24, 27])
def test_a_move_list_that_is_too_short_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        decode_move_list(encode_move_list(MoveList(1, 2, "x"))[:length])


def test_an_initiator_of_another_transport_is_malformed() -> None:
    data = bytearray(encode_move_list(MoveList(1, 2, "x")))
    data[24] = 0x06
    with pytest.raises(Malformed, match="none of iSCSI"):
        decode_move_list(bytes(data))


@pytest.mark.parametrize("name", [b"\xff" * 8, b"x" * 224], ids=["no text", "too long"])
def test_a_name_that_no_initiator_has_is_malformed(name: bytes) -> None:
    transport = bytes((5, 0)) + (len(name) + 1).to_bytes(2, "big") + name + b"\0"
    data = encode_move_list(MoveList(1, 2, ""))[:20] + len(transport).to_bytes(4, "big")
    with pytest.raises(Malformed, match="iSCSI name"):
        decode_move_list(data + transport)
