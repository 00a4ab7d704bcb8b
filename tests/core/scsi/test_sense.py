"""Sense data is written and read in both formats, whatever comes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import Sense, SenseKey, decode_sense, encode_sense

FIELDS = st.none() | st.integers(0, 0xFFFF)
SENSES = st.builds(
    Sense,
    st.integers(0, 15),
    st.integers(0, 255),
    st.integers(0, 255),
    filemark=st.booleans(),
    end_of_medium=st.booleans(),
    wrong_length=st.booleans(),
    information=st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
    is_deferred=st.booleans(),
    field=FIELDS,
).map(lambda sense: sense if sense.key == 5 else sense._replace(field=None))


@given(SENSES, st.booleans())
def test_what_is_written_is_read_again(sense: Sense, as_descriptors: bool) -> None:
    assert decode_sense(encode_sense(sense, as_descriptors=as_descriptors)) == sense


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        assert decode_sense(data).key in set(SenseKey)


@pytest.mark.parametrize(
    ("data", "sense"),
    [
        (
            "f000a000000200 0a 00000000 0001 00 000000",
            Sense(0, 0, 1, filemark=True, wrong_length=True, information=512),
        ),
        (
            "f0 00 20 fffffe00 0a 00000000 0000 00 000000",
            Sense(0, wrong_length=True, information=-512),
        ),
        ("71 00 03 00000000 0a 00000000 0c00 00 000000", Sense(3, 0x0C, 0, is_deferred=True)),
        (
            "70 00 05 00000000 0a 00000000 2400 00 c00004",
            Sense(5, 0x24, 0, field=4),
        ),
        (
            "72 00 00 01 000000 10 00 0a 80 00 0000000000000005 04 02 00 80",
            Sense(0, 0, 1, filemark=True, information=5),
        ),
        ("72 06 29 00 000000 00", Sense(6, 0x29, 0)),
    ],
)
def test_sense_data_of_devices(data: str, sense: Sense) -> None:
    assert decode_sense(bytes.fromhex(data)) == sense


def test_sense_data_that_was_cut_off_keeps_its_key() -> None:
    whole = encode_sense(Sense(SenseKey.NOT_READY, 0x3A, 0))
    assert decode_sense(whole[:8]) == Sense(SenseKey.NOT_READY)


def test_a_sense_is_written_as_in_manuals() -> None:
    assert str(Sense(5, 0x53, 2)) == "5/53/02, medium removal prevented"
    assert str(Sense(4, 0x80, 0x1F)) == "4/80/1F"
    deferred = Sense(3, 0x0C, 0, is_deferred=True)
    assert str(deferred) == "3/0C/00, write error, about an earlier command"
