"""The codec: round trips over every message, and limits before allocation."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.numbers import AddrType, MoverMode, MoverState, NdmpError
from tapekit_ndmp_v4.wire import U32, Message, PairList, Text

if TYPE_CHECKING:
    from collections.abc import Callable

Strategies: TypeAlias = "Callable[[type[Message]], st.SearchStrategy[Message]]"


@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_every_message_survives_the_way_to_bytes_and_back(
    message_type: type[Message], any_message: Strategies, data: st.DataObject
) -> None:
    value = data.draw(any_message(message_type))
    encoded = xdr.encode(value)
    assert len(encoded) % 4 == 0
    assert xdr.decode(message_type, encoded, strict=True) == value


@given(data=st.data())
@settings(deadline=None, max_examples=10)
def test_every_cut_of_every_message_is_refused(
    message_type: type[Message], any_message: Strategies, data: st.DataObject
) -> None:
    encoded = xdr.encode(data.draw(any_message(message_type)))
    for end in range(len(encoded)):
        with pytest.raises(xdr.XdrError):
            xdr.decode(message_type, encoded[:end])


def test_zero_of_every_message_has_a_form(message_type: type[Message]) -> None:
    nothing = xdr.zero(message_type)
    assert xdr.decode(message_type, xdr.encode(nothing), strict=True) == nothing


def test_surplus_bytes_are_ignored_unless_strict() -> None:
    data = xdr.encode(m.ConnectOpenRequest(protocol_version=4)) + b"more"
    assert xdr.decode(m.ConnectOpenRequest, data).protocol_version == 4
    with pytest.raises(xdr.XdrError, match="surplus"):
        xdr.decode(m.ConnectOpenRequest, data, strict=True)


def test_padding_that_is_not_zero_is_taken_unless_strict() -> None:
    data = b"\0\0\0\1axyz" + bytes(4)
    assert xdr.decode(m.TapeOpenRequest, data).device == "a"
    with pytest.raises(xdr.XdrError, match="padding"):
        xdr.decode(m.TapeOpenRequest, data, strict=True)


def test_unknown_numbers_stay_plain_integers() -> None:
    data = (123).to_bytes(4, "big") * 2
    request = xdr.decode(m.MoverListenRequest, data)
    assert request.mode == 123
    assert not isinstance(request.mode, MoverMode)
    assert not isinstance(request.addr_type, AddrType)
    assert xdr.encode(request) == data


def test_known_numbers_become_members() -> None:
    request = xdr.decode(m.MoverListenRequest, bytes([0, 0, 0, 1, 0x20, 0x51, 0, 4]))
    assert request.mode is MoverMode.WRITE
    assert request.addr_type is AddrType.TCP_IPV6


def test_a_member_of_another_kind_is_refused() -> None:
    with pytest.raises(xdr.XdrError, match=r"mode: <MoverState\.ACTIVE: 2> stands where"):
        xdr.encode(m.MoverListenRequest(mode=MoverState.ACTIVE, addr_type=AddrType.TCP))


@pytest.mark.parametrize("version", [-1, 2**16, 2**32])
def test_a_narrow_number_out_of_its_range_is_refused(version: int) -> None:
    with pytest.raises(xdr.XdrError):
        xdr.encode(m.ConnectOpenRequest(protocol_version=version))


@pytest.mark.parametrize("field", ["sequence", "message_code"])
@pytest.mark.parametrize("value", [-1, 2**32])
def test_a_number_that_does_not_fit_is_refused(field: str, value: int) -> None:
    numbers = dict.fromkeys(m.Header.__struct_fields__, 0) | {field: value}
    with pytest.raises(xdr.XdrError, match="does not fit"):
        xdr.encode(m.Header(**numbers))


def test_a_narrow_number_is_checked_when_it_comes() -> None:
    with pytest.raises(
        xdr.XdrError, match="protocol_version: 65536 is not in the range 0 to 65535"
    ):
        xdr.decode(m.ConnectOpenRequest, bytes([0, 1, 0, 0]))


def test_negative_numbers_have_a_form_where_they_may_stand() -> None:
    state = m.ScsiGetStateReply(
        error=NdmpError.NO_ERR, target_controller=-1, target_id=-1, target_lun=-32768
    )
    encoded = xdr.encode(state)
    assert encoded == bytes(4) + b"\xff" * 8 + b"\xff\xff\x80\x00"
    assert xdr.decode(m.ScsiGetStateReply, encoded) == state


def test_text_carries_bytes_that_are_not_utf8() -> None:
    raw = b"r\xe9sum\xc3\xa9"
    request = xdr.decode(m.TapeOpenRequest, b"\0\0\0\7" + raw + b"\0" + bytes(4))
    assert request.device == "r\udce9sumé"
    assert raw in xdr.encode(request)


def test_text_with_other_surrogates_is_refused() -> None:
    with pytest.raises(xdr.XdrError, match="device: text that is neither"):
        xdr.encode(m.TapeOpenRequest(device="\ud800", mode=0))


def test_the_place_of_an_error_is_named() -> None:
    pair = ("FILESYSTEM", "x" * 65537)
    request = m.DataStartBackupRequest(butype_name="dump", env=(m.Pair(*pair),))
    with pytest.raises(xdr.XdrError, match=r"^env\.value: 65537 bytes, at most 65536 are allowed$"):
        xdr.encode(request)


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (m.TapeOpenRequest, b"\xff\xff\xff\xff", "4294967295 bytes, at most 8192"),
        (m.TapeOpenRequest, b"\0\0\x20\0", "8192 bytes announced, 0 are left"),
        (m.TapeWriteRequest, b"\0\x10\0\1", "1048577 bytes, at most 1048576"),
        (m.DataGetEnvReply, bytes(4) + b"\0\0\x10\1", "4097 entries, at most 4096"),
        (m.DataGetEnvReply, bytes(4) + b"\0\0\x10\0", "4096 entries announced, 0 bytes are left"),
        (m.ConfigGetFsInfoReply, bytes(4) + b"\0\1\0\0" + bytes(99), "65536 entries announced"),
        (m.MoverListenReply, bytes(4) + b"\0\0\0\2", "0x2 selects no arm"),
        (m.ConfigGetAuthAttrReply, bytes(4) + b"\0\0\0\2" + bytes(63), "64 bytes expected"),
    ],
)
def test_what_is_announced_is_checked_before_it_is_believed(
    kind: type[Message], data: bytes, reason: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(xdr.XdrError, match=reason):
            xdr.decode(kind, data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_no_more_is_encoded_than_is_allowed() -> None:
    reply = m.DataGetEnvReply(error=0, env=(m.Pair("a", "b"),) * 4097)
    with pytest.raises(xdr.XdrError, match="env: 4097 entries, at most 4096"):
        xdr.encode(reply)
    with pytest.raises(xdr.XdrError, match=r"auth_data\.auth_digest: 15 bytes, exactly 16"):
        xdr.encode(
            m.ConnectClientAuthRequest(auth_data=m.AuthMd5(auth_id="a", auth_digest=bytes(15)))
        )


def test_something_that_is_no_arm_is_refused() -> None:
    stray: Any = m.TcpAddr(ip=0, port=0, addr_env=())
    with pytest.raises(xdr.XdrError, match="addr: TcpAddr is no arm"):
        xdr.encode(m.DataConnectRequest(addr=stray))


class Unbounded(Message):
    name: str


class Endless(Message):
    numbers: tuple[U32, ...]


class Nothing(Message):
    pass


class Free(Message):
    nothings: Annotated[tuple[Nothing, ...], Meta(max_length=10)]


class Plain(Message):
    number: int


@pytest.mark.parametrize("kind", [Unbounded, Endless, Free, Plain])
def test_an_annotation_without_a_bound_has_no_form(kind: type[Message]) -> None:
    with pytest.raises(TypeError):
        xdr.codec_of(kind)


class Nested(Message):
    inner: m.Name
    pairs: PairList
    title: Text = "unnamed"


def test_zeros_keep_the_defaults_of_fields() -> None:
    nothing = xdr.zero(Nested)
    assert nothing.title == "unnamed"
    assert nothing.pairs == ()
    assert nothing.inner.fh_info == 2**64 - 1
    assert xdr.zero(m.MoverListenReply).connect_addr == m.LocalAddr()
