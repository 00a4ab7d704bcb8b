"""Settings of the dump engine, as the stack file has them under ``[dump]``.

Every field has a default that fits a small server. The one rule: no setting
changes what a stream means, only how it is made.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

__all__ = ["DumpSettings"]

_MIB: Final = 1 << 20


class DumpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How backups and restores are made."""

    spool_directory: str | None = None
    """Folder for temporary files, which have no name and take about 30 bytes
    a file of the tree plus its name; the system's own if not set. A relative
    path starts at the stack file."""

    spool_memory_bytes: Annotated[int, msgspec.Meta(ge=65536, le=1024 * _MIB)] = 4 * _MIB
    """What each of a job's spools keeps in memory before it becomes a
    temporary file."""

    extent_threshold_bytes: Annotated[int, msgspec.Meta(ge=4096, le=512 * 1024)] = 256 * 1024
    """Runs of data from this length on leave without being read, so that a
    virtual tape can copy them inside the kernel; shorter ones are read."""

    read_ahead_threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 8
    """Threads that read small files before their turn in a backup, while they
    come from a disk and not from memory; 0 for none."""

    records_per_block: Annotated[int, msgspec.Meta(ge=4, le=256)] = 10
    """Blocking factor: tape blocks of 1,024 bytes that the stream's end is
    padded to, and that its headers tell to readers of real tapes."""

    offset_map: bool = True
    """Whether backups with file history end with an offset map, by which
    directories can be restored directly; what the option
    ``ndmpd.offset_map.enable`` is until it is switched."""

    restart_checkpoint_bytes: Annotated[int, msgspec.Meta(ge=65536)] = 64 * _MIB
    """How far apart in the stream the places are, at least, from which a
    restartable backup can go on. Each takes a write to the state store."""

    sync_at_end: bool = True
    """Whether a restore waits until everything is on disk before it reports
    success."""

    security_labels: Literal["save", "refuse"] = "save"
    """Whether security labels, as NFS 4.2 and SELinux give them, are backed
    up like other extended attributes, or end a backup that meets one."""

    restore_threads: Annotated[int, msgspec.Meta(ge=0, le=16)] = 1
    """Threads that make small files of a restore beside the one that reads the
    stream; with 0 that one makes them all."""
