"""The fast decoder of file history says what the generic one says."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_ndmp_v4 import history_decoding, xdr
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.numbers import FileType, FsType

if TYPE_CHECKING:
    from tapekit_ndmp_v4.wire import Message

T = TypeVar("T")

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
texts = st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
unix_names = st.builds(m.UnixFileName, unix_name=texts)
odd_names = st.one_of(
    unix_names,
    st.builds(m.NtFileName, nt_path=texts, dos_path=texts),
    st.builds(m.OtherFileName, other_name=texts),
)
stats = st.builds(
    m.FileStat,
    unsupported=u32,
    fs_type=st.one_of(st.sampled_from(FsType), st.integers(3, 2**32 - 1)),
    ftype=st.one_of(st.sampled_from(FileType), st.integers(9, 2**32 - 1)),
    **dict.fromkeys(("mtime", "atime", "ctime", "owner", "group", "fattr", "links"), u32),
    size=u64,
)


def one(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return values.map(lambda value: (value,))


def some(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, max_size=3).map(tuple)


def many(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, max_size=8).map(tuple)


def posts(
    names: st.SearchStrategy[tuple[m.FileName, ...]],
    attributes: st.SearchStrategy[tuple[m.FileStat, ...]],
) -> st.SearchStrategy[Message]:
    directories = st.builds(m.FhDir, names=names, node=u64, parent=u64)
    nodes = st.builds(m.FhNode, stats=attributes, node=u64, fh_info=u64)
    files = st.builds(m.FhFile, names=names, stats=attributes, node=u64, fh_info=u64)
    return st.one_of(
        st.builds(m.FhAddDirPost, dirs=many(directories)),
        st.builds(m.FhAddNodePost, nodes=many(nodes)),
        st.builds(m.FhAddFilePost, files=many(files)),
    )


usual = posts(one(unix_names), one(stats))
unusual = posts(some(odd_names), some(stats))


@given(post=st.one_of(usual, unusual), before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_every_post_comes_back(post: Message, before: bytes, after: bytes) -> None:
    data = before + xdr.encode(post) + after
    found = history_decoding.decode(type(post), data, len(before))
    assert found == post
    assert repr(found) == repr(xdr.decode(type(post), data, len(before)))


def outcome(decode: object, kind: type[Message], data: bytes) -> str:
    assert callable(decode)
    try:
        return repr(decode(kind, data))
    except xdr.XdrError as error:
        return f"XdrError: {error}"


@given(data=st.data(), post=usual)
def test_damaged_bytes_have_the_same_outcome(data: st.DataObject, post: Message) -> None:
    damaged = bytearray(xdr.encode(post))
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    expected = outcome(xdr.decode, type(post), cut)
    assert outcome(history_decoding.decode, type(post), cut) == expected


@pytest.mark.parametrize("kind", [m.FhAddDirPost, m.FhAddNodePost, m.FhAddFilePost])
def test_a_count_beyond_all_limits_is_refused_before_anything_is_made(kind: type[Message]) -> None:
    with pytest.raises(xdr.XdrError, match="at most 65536 are allowed"):
        history_decoding.decode(kind, b"\xff" * 100)


def test_other_messages_go_to_the_generic_codec() -> None:
    state = m.DataGetEnvRequest()
    assert history_decoding.decode(m.DataGetEnvRequest, xdr.encode(state)) == state
