"""File history: what the fast encoder makes is what the generic one makes."""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import NodeEntry, NodeTable
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.file_history import (
    BODY_BYTES,
    encode_directories,
    encode_files,
    encode_nodes,
    entry_count,
)
from tapekit_ndmp_v4.numbers import FileType, FsType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_ndmp_v4.wire import Message

U32 = 2**32 - 1
U64 = 2**64 - 1

KINDS = {
    stat.S_IFDIR: FileType.DIR,
    stat.S_IFIFO: FileType.FIFO,
    stat.S_IFCHR: FileType.CSPEC,
    stat.S_IFBLK: FileType.BSPEC,
    stat.S_IFREG: FileType.REG,
    stat.S_IFLNK: FileType.SLINK,
    stat.S_IFSOCK: FileType.SOCK,
}

names = st.binary(min_size=1, max_size=255)
nodes = st.integers(0, U64)
node_entries = st.builds(
    NodeEntry,
    node=nodes,
    mode=st.integers(0, 0o177777),
    size=nodes,
    mtime_s=st.integers(-(2**40), 2**40),
    atime_s=st.integers(0, U32),
    ctime_s=st.integers(0, U32),
    uid=st.integers(0, U32),
    gid=st.integers(0, U32),
    links=st.integers(0, U32),
    position=nodes,
)


def clamp(time: int) -> int:
    return min(max(time, 0), U32)


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def stat_of(entry: NodeEntry) -> m.FileStat:
    return m.FileStat(
        unsupported=0,
        fs_type=FsType.UNIX,
        ftype=KINDS.get(stat.S_IFMT(entry.mode), FileType.OTHER),
        mtime=clamp(entry.mtime_s),
        atime=clamp(entry.atime_s),
        ctime=clamp(entry.ctime_s),
        owner=entry.uid,
        group=entry.gid,
        fattr=entry.mode,
        size=entry.size,
        links=entry.links,
    )


def names_of(raw: bytes) -> tuple[m.FileName, ...]:
    return (m.UnixFileName(unix_name=text(raw)),)


@given(st.lists(st.tuples(names, nodes, nodes), min_size=1, max_size=30))
def test_directories_are_what_the_codec_makes(entries: list[tuple[bytes, int, int]]) -> None:
    post = m.FhAddDirPost(
        dirs=tuple(
            m.FhDir(names=names_of(name), node=node, parent=parent)
            for name, node, parent in entries
        )
    )
    assert encode_directories(entries) == [xdr.encode(post)]


def two_names_of(raw: bytes) -> tuple[m.FileName, ...]:
    """UNIX and, where it is text, Windows; without a short name."""
    try:
        return (*names_of(raw), m.NtFileName(nt_path=raw.decode(), dos_path=""))
    except UnicodeDecodeError:
        return names_of(raw)


@pytest.mark.requirement("R146")
@given(st.lists(st.tuples(names, node_entries), min_size=1, max_size=30))
def test_unicode_names_are_what_the_codec_makes(entries: list[tuple[bytes, NodeEntry]]) -> None:
    directories = m.FhAddDirPost(
        dirs=tuple(m.FhDir(names=two_names_of(name), node=5, parent=6) for name, _ in entries)
    )
    rows = [(name, 5, 6) for name, _ in entries]
    assert encode_directories(rows, with_unicode=True) == [xdr.encode(directories)]
    files = m.FhAddFilePost(
        files=tuple(
            m.FhFile(
                names=two_names_of(path),
                stats=(stat_of(entry),),
                node=entry.node,
                fh_info=entry.position,
            )
            for path, entry in entries
        )
    )
    assert encode_files(entries, with_unicode=True) == [xdr.encode(files)]


@given(st.lists(node_entries, min_size=1, max_size=30))
def test_nodes_are_what_the_codec_makes(entries: list[NodeEntry]) -> None:
    post = m.FhAddNodePost(
        nodes=tuple(
            m.FhNode(stats=(stat_of(entry),), node=entry.node, fh_info=entry.position)
            for entry in entries
        )
    )
    assert encode_nodes(entries) == [xdr.encode(post)]


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=600), node_entries), min_size=1, max_size=9)
)
def test_files_are_what_the_codec_makes(entries: list[tuple[bytes, NodeEntry]]) -> None:
    post = m.FhAddFilePost(
        files=tuple(
            m.FhFile(
                names=names_of(path),
                stats=(stat_of(entry),),
                node=entry.node,
                fh_info=entry.position,
            )
            for path, entry in entries
        )
    )
    assert encode_files(entries) == [xdr.encode(post)]


numbers = st.integers(0, 2**63 - 1)


@given(
    st.lists(
        node_entries.flatmap(
            lambda entry: st.builds(entry._replace, node=numbers, size=numbers, position=numbers)
        ),
        max_size=30,
    )
)
def test_a_table_gives_the_same_bodies(entries: list[NodeEntry]) -> None:
    assert encode_nodes(NodeTable.of(entries)) == encode_nodes(entries)


@pytest.mark.parametrize("count", [0, 962, 963, 964, 3000])
def test_a_table_of_any_length_gives_the_same_bodies(count: int) -> None:
    entries = [node(number) for number in range(count)]
    bodies = encode_nodes(NodeTable.of(entries))
    assert bodies == encode_nodes(entries)
    assert sum(map(entry_count, bodies)) == count


def node(number: int) -> NodeEntry:
    return NodeEntry(number, stat.S_IFREG | 0o644, 1, 2, 3, 4, 5, 6, 7, 8)


def joined(kind: type[Message], field: str, bodies: Sequence[bytes]) -> list[object]:
    return [
        entry for body in bodies for entry in getattr(xdr.decode(kind, body, strict=True), field)
    ]


@pytest.mark.parametrize("count", [962, 963, 964, 965, 5000])
def test_posts_stay_below_64_kib_and_lose_nothing(count: int) -> None:
    bodies = encode_nodes([node(number) for number in range(count)])
    assert all(len(body) <= BODY_BYTES for body in bodies)
    assert len(bodies) == -(-count * 68 // (BODY_BYTES - 4 - (BODY_BYTES - 4) % 68))
    found = joined(m.FhAddNodePost, "nodes", bodies)
    assert [entry.node for entry in found if isinstance(entry, m.FhNode)] == list(range(count))


@given(st.lists(st.integers(1, 255), min_size=1000, max_size=1500))
@settings(max_examples=10, deadline=None)
def test_names_of_all_lengths_are_spread_over_posts(lengths: list[int]) -> None:
    entries = [(b"x" * length, number, 2) for number, length in enumerate(lengths)]
    bodies = encode_directories(entries)
    assert all(len(body) <= BODY_BYTES for body in bodies)
    found = joined(m.FhAddDirPost, "dirs", bodies)
    assert [entry.node for entry in found if isinstance(entry, m.FhDir)] == list(
        range(len(entries))
    )


def test_nothing_makes_no_post() -> None:
    assert encode_directories([]) == encode_nodes([]) == encode_files([]) == []


def test_times_outside_the_format_become_the_nearest() -> None:
    early = node(1)._replace(mtime_s=-1, atime_s=2**33)
    [body] = encode_nodes([early, node(2)])
    first, second = xdr.decode(m.FhAddNodePost, body).nodes
    assert (first.stats[0].mtime, first.stats[0].atime) == (0, U32)
    assert second.stats[0].mtime == 2


def test_a_number_without_a_form_is_refused() -> None:
    with pytest.raises(struct.error):
        encode_nodes([node(2**64)])
    with pytest.raises(struct.error):
        encode_directories([(b"name", -1, 2)])
