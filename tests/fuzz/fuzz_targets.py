"""What is fuzzed: functions that take any bytes and raise nothing undeclared.

Each target feeds bytes to a reader as a peer or a tape would, and accepts
exactly the errors that the reader's documentation names. It also claims what
must hold of anything that was read, such as that it encodes to itself.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import shutil
import stat
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tapekit.errors import TapekitError
from tapekit.kernel import assemble, installed
from tapekit.testing import MemoryRanges, MemoryServices, MemorySink
from tapekit_dump import headers
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.connection import BadRequest, HeaderError, NdmpConnection, Role, Undecodable
from tapekit_ndmp_v4.errors import RemoteProtocolError
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.records import Limits, RecordReader, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SEEDS", "TARGETS"]

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "ndmp_v4"
LIMITS: Final = Limits(max_record_bytes=4096, max_fragments=32, max_empty_fragments=4)
VOLUME: Final = "/vs1/vol1"


def clock() -> float:
    return 1_700_000_000.0


# Records and messages.


def read_records(data: bytes) -> None:
    """The record reader, in pieces whose sizes come from the data too."""
    reader = RecordReader(LIMITS)
    step = 1 + (data[0] if data else 0)
    try:
        for start in range(0, len(data), step):
            reader.receive_data(data[start : start + step])
            while (record := reader.next_record()) is not None:
                assert len(record) <= LIMITS.max_record_bytes
        reader.receive_data(b"")
        reader.next_record()
    except RemoteProtocolError:
        return


def decode_bodies(data: bytes) -> None:
    """Each body of the protocol out of the same bytes.

    Whatever decodes must encode, and decode again to the same.
    """
    for row in EXCHANGES:
        for kind in (row.request, row.reply):
            if kind is None:
                continue
            try:
                body = xdr.decode(kind, data)
            except xdr.XdrError:
                continue
            again = xdr.encode(body)
            assert xdr.decode(kind, again) == body, kind


def serve_bytes(data: bytes) -> None:
    """A server's connection: each event can be answered, or the stream is lost."""
    wire = NdmpConnection(Role.SERVER, clock=clock, limits=LIMITS)
    with suppress(RemoteProtocolError):
        wire.receive_data(data)
        wire.receive_data(b"")
        while (event := wire.next_event()) is not None:
            if isinstance(event, BadRequest):
                wire.send_header_error(event, event.error)


def hear_bytes(data: bytes) -> None:
    """A client's connection that has one request of each kind open."""
    wire = NdmpConnection(Role.CLIENT, clock=clock, limits=LIMITS)
    for row in EXCHANGES:
        if row.reply is not None and not row.is_post:
            wire.send_request(xdr.zero(row.request))
    with suppress(RemoteProtocolError):
        wire.receive_data(data)
        wire.receive_data(b"")
        while (event := wire.next_event()) is not None:
            assert not isinstance(event, HeaderError | Undecodable) or event.exchange is not None


# Dump streams.


class DumpSite:
    """A stack that is not served, with a volume to restore to."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tapekit-fuzz-"))
        (self.volume / "source" / "inside").mkdir(parents=True)
        for number, size in enumerate((0, 1, 1024, 5000)):
            (self.volume / "source" / f"file {number}").write_bytes(
                bytes(range(250)) * (size // 250)
            )
        (self.volume / "source" / "inside" / "link").symlink_to("../file 1")
        with (self.volume / "source" / "holes").open("wb") as file:
            file.truncate(100_000)
        names = ("dump", "volumes")
        stack = self.directory / "tapekit.toml"
        stack.write_text(
            f'plugins = ["dump", "volumes"]\n[[volumes.volume]]\npath = "{VOLUME}"\n'
            'directory = "volume"\n[dump]\nsync_at_end = false\n',
            "utf-8",
        )
        available = [each for each in installed() if each.name in names]
        self.engine = assemble(stack, available, clock=clock).engines["dump"]

    @property
    def volume(self) -> Path:
        return self.directory / "volume"

    def backup(self) -> bytes:
        sink = MemorySink()
        job = self.engine.prepare_backup((("FILESYSTEM", f"{VOLUME}/source"),), "fuzz")
        try:
            job.run(sink, MemoryServices())
        finally:
            job.close()
        return sink.data

    def recover(self, data: bytes) -> None:
        """Restore everything from a stream, whatever it is."""
        environment = (("FILESYSTEM", f"{VOLUME}/x"),)
        job = self.engine.prepare_recover(environment, (), "fuzz")
        try:
            job.run(MemoryRanges(data), MemoryServices())
        except TapekitError:
            return
        finally:
            job.close()

    def clear(self) -> None:
        """Nothing but the volume itself may have been touched."""
        restored = self.volume / "x"
        if restored.exists():
            try:
                shutil.rmtree(restored)
            except PermissionError:
                allow_removal(restored)
                shutil.rmtree(restored)
        found = sorted(each.name for each in self.directory.iterdir())
        assert found == ["tapekit.toml", "volume"], found
        assert [each.name for each in self.volume.iterdir()] == ["source"]


def allow_removal(top: Path) -> None:
    """Take the flags away that forbid it, such as append-only; a dump has them."""
    for folder, _, names in os.walk(top):
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            if stat.S_IFMT(path.lstat().st_mode) in {stat.S_IFDIR, stat.S_IFREG}:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                with suppress(OSError):
                    fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("i", 0))
                os.close(descriptor)


FS_IOC_SETFLAGS: Final = 0x4008_6602


@functools.cache
def dump_site() -> DumpSite:
    """One site for all inputs, removed when the process ends."""
    site = DumpSite()
    atexit.register(shutil.rmtree, site.directory, ignore_errors=True)
    return site


def recover_dump(data: bytes) -> None:
    """A whole restore from a damaged stream, with every checksum made good."""
    site = dump_site()
    try:
        site.recover(with_checksums(data))
    finally:
        site.clear()


def with_checksums(data: bytes) -> bytes:
    """Give each block that looks like a header a checksum that fits, since
    random changes would go no further than the first one.
    """
    blocks = bytearray(data)
    for start in range(0, len(blocks) - headers.RECORD_BYTES + 1, headers.RECORD_BYTES):
        (magic,) = struct.unpack_from("<I", blocks, start + MAGIC_AT)
        if magic == headers.MAGIC:
            struct.pack_into("<I", blocks, start + SUM_AT, 0)
            words = struct.unpack_from(f"<{headers.RECORD_BYTES // 4}I", blocks, start)
            struct.pack_into(
                "<I", blocks, start + SUM_AT, (headers.CHECKSUM - sum(words)) & 0xFFFF_FFFF
            )
    return bytes(blocks)


MAGIC_AT: Final = 24
SUM_AT: Final = 28


# What to begin with.


def messages() -> list[bytes]:
    """The messages of the protocol as whole records."""
    found = []
    for file in sorted(VECTORS.glob("*.json")):
        vector = json.loads(file.read_text("utf-8"))
        found.append(bytes.fromhex("".join(vector["hex"]).replace(" ", "")))
    found += [marked(found[0][4:] * 3), b"".join(found[:5])]
    return found


def bodies() -> list[bytes]:
    return [each[28:] for each in messages()]


def streams() -> list[bytes]:
    return [dump_site().backup()]


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "records": read_records,
    "bodies": decode_bodies,
    "server": serve_bytes,
    "client": hear_bytes,
    "dump": recover_dump,
}
SEEDS: Final[Mapping[str, Callable[[], list[bytes]]]] = {
    "records": messages,
    "bodies": bodies,
    "server": messages,
    "client": messages,
    "dump": streams,
}
