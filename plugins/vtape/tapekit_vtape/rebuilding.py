"""A new index for a cartridge whose own is lost or damaged.

What was left of the old one stays beside the new one, and the payload is only
read. The one rule: a cartridge that was rebuilt is write protected, so that
nobody writes on it before somebody has looked at it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.cartridge import lock_cartridge, write_index
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.host_files import host_errors, open_host_file, sync_directory
from tapekit_vtape.index_format import HeaderError, decode_header
from tapekit_vtape.packing import FrameReader
from tapekit_vtape.replay import entries_of, replay
from tapekit_vtape.salvage import salvage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit_vtape.host_files import HostFile
    from tapekit_vtape.index_format import Header
    from tapekit_vtape.salvage import Gap, Salvaged
    from tapekit_vtape.tape_map import Run

__all__ = ["Rebuilt", "rebuild_cartridge"]

_FRAME_MAGIC: Final = bytes.fromhex("28b52ffd")
"""What a frame begins with (Zstandard, RFC 8878)."""


class Rebuilt(NamedTuple):
    """A cartridge that has a new index."""

    salvaged: Salvaged
    kept: Path | None
    """Where the old index is now; ``None`` if there was none."""


def rebuild_cartridge(
    path: Path, usual: Header, record_size: int | None, *, takes_rest: bool
) -> Rebuilt:
    """Give the cartridge in a folder a new index.

    :param usual: the attributes of the cartridge if its own cannot be read.
    :param record_size: bytes of records of which no entry is left; ``None``
        if nobody knows.
    :param takes_rest: see :func:`salvage`.
    :raises TapeError: ``BUSY``, somebody uses it; ``MEDIUM_ERROR``.
    :raises TapekitError: its index is in order, or more has to be known.
    """
    lock = lock_cartridge(path, shared=False)
    try:
        payload = open_host_file(path / "payload", os.O_RDONLY)
        try:
            return _rebuilt(path, payload, usual, record_size, takes_rest=takes_rest)
        finally:
            payload.close()
    finally:
        os.close(lock)


def _rebuilt(
    path: Path, payload: HostFile, usual: Header, record_size: int | None, *, takes_rest: bool
) -> Rebuilt:
    old, size = _old_index(path / "index"), payload.size()
    header = _header(old, usual)
    if not takes_rest and _is_in_order(old, size):
        raise CATALOGUE.error("nothing-to-rebuild", barcode=usual.barcode)
    frames = FrameReader(payload, usual.barcode)
    found = salvage(
        old,
        size,
        record_size or 1,
        takes_rest=takes_rest,
        is_frame=lambda run: _is_frame(frames, run),
    )
    for gap in found.gaps:
        if _has_frame(payload, gap, found.frames):
            raise CATALOGUE.error("frames-unknown", path=str(path / "payload"), start=gap.start)
    if found.gaps and record_size is None:
        unknown = sum(gap.stop - gap.start for gap in found.gaps)
        raise CATALOGUE.error("record-size-unknown", barcode=usual.barcode, unknown=unknown)
    is_packed = any(run.packed for run in found.tape.runs)
    header = header._replace(is_protected=True, is_packed=is_packed)
    made = path / "index.new"
    write_index(made, header, entries_of(found.tape), durable=True).close()
    kept = _set_aside(path / "index")
    with host_errors(path):
        made.replace(path / "index")
    sync_directory(path)
    return Rebuilt(found, kept)


def _is_frame(frames: FrameReader, run: Run) -> bool:
    try:
        frames.records(run)
    except TapeError as error:
        if error.condition is not Condition.MEDIUM_ERROR:
            raise
        return False
    return True


def _has_frame(payload: HostFile, gap: Gap, ends: Sequence[int]) -> bool:
    """Whether compressed records are known to be in a gap."""
    begins_with_one = payload.read(len(_FRAME_MAGIC), gap.start) == _FRAME_MAGIC
    return begins_with_one or any(gap.start < end <= gap.stop for end in ends)


def _old_index(path: Path) -> bytes:
    with host_errors(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""


def _header(old: bytes, usual: Header) -> Header:
    try:
        return decode_header(old)
    except HeaderError:
        return usual


def _is_in_order(old: bytes, payload_bytes: int) -> bool:
    try:
        return replay(old, payload_bytes).damage is None
    except HeaderError:
        return False


def _set_aside(index: Path) -> Path | None:
    """Give an index a name under which nobody looks for one."""
    if not index.exists():
        return None
    number = 0
    while (kept := index.with_name(f"index.damaged-{number}")).exists():
        number += 1
    with host_errors(index):
        os.link(index, kept)
    return kept
