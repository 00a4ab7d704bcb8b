"""Log pages and TapeAlert flags, cut off anywhere."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.log import (
    CAPACITY_PAGE,
    TAPE_ALERT_PAGE,
    TAPE_ALERTS,
    LogParameter,
    decode_alerts,
    decode_log,
    encode_alerts,
    encode_log,
    encode_log_list,
)
from tapekit.scsi.malformed import Malformed

PARAMETERS = st.lists(
    st.builds(LogParameter, st.integers(0, 0xFFFF), st.binary(max_size=16)), max_size=6
)


@given(PARAMETERS, st.integers(0, 40))
def test_parameters_are_read_as_far_as_they_came(parameters: list[LogParameter], lost: int) -> None:
    data = encode_log(CAPACITY_PAGE, parameters)
    assert decode_log(data, CAPACITY_PAGE) == parameters
    kept = decode_log(data[: max(4, len(data) - lost)], CAPACITY_PAGE)
    assert kept == parameters[: len(kept)]


@given(st.frozensets(st.integers(1, 64)))
def test_alerts_are_read_again(raised: frozenset[int]) -> None:
    data = encode_alerts(raised)
    assert len(data) == 4 + 0x140
    assert decode_alerts(data) == raised


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        assert decode_alerts(data) <= set(range(1, 65))


def test_another_page_is_refused_by_its_number() -> None:
    with pytest.raises(Malformed, match="page 31h came for 2Eh"):
        decode_log(encode_log(CAPACITY_PAGE, ()), TAPE_ALERT_PAGE)


def test_the_list_of_pages_is_sorted() -> None:
    assert encode_log_list((0x2E, 0, 0x31)) == bytes.fromhex("00 00 0003 00 2e 31")


def test_flags_are_named() -> None:
    assert TAPE_ALERTS[20] == "clean now"
    assert set(TAPE_ALERTS) <= set(range(1, 65))
