"""Virtual tape drives and a changer as devices of this kernel.

Linux has a SCSI target whose logical units are programs (TCMU), and an adapter
that is connected to it (tcm_loop). Behind these, virtual drives answer every
command, so that all of the way from a device node through the kernel and back
is real. Needs root, and a kernel that may be changed: for guests only.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor

CONFIGURATION = Path("/sys/kernel/config")
STORE = CONFIGURATION / "target/core/user_1"
ADAPTER = CONFIGURATION / "target/loopback/naa.6001405000000001/tpgt_1"

VERSION, READ_LENGTHS = 2, 0x2
PAD, COMMAND = 0, 1
HEAD_AT, TAIL_AT = 12, 64
UNKNOWN, HAS_READ_LENGTH = 0x1, 0x2
REQUEST: Final = struct.Struct("<IHBBIIIxxxxQQQ")
VECTOR: Final = struct.Struct("<QQ")
ANSWER: Final = struct.Struct("<BxxxI96s")


def load_modules(root: str) -> None:
    """Everything between a device node and a program."""
    for module in ("sg", "target_core_user", "tcm_loop"):
        subprocess.run(["modprobe", "-d", root, module], check=True)
    subprocess.run(["mount", "-t", "configfs", "none", str(CONFIGURATION)], check=True)
    STORE.mkdir(parents=True)
    ADAPTER.mkdir(parents=True)
    (ADAPTER / "nexus").write_text("naa.6001405000000002")


class Unit:
    """A logical unit of the adapter, answered by a door."""

    def __init__(self, lun: int, door: CdbDoor) -> None:
        self.lun = lun
        self.door = door
        """Who answers; may be changed while no command runs."""
        self._store = STORE / f"unit{lun}"
        self._store.mkdir()
        (self._store / "control").write_text("dev_config=tapekit/unit,dev_size=1048576")
        (self._store / "control").write_text("max_data_area_mb=64")
        (self._store / "enable").write_text("1")
        self._descriptor = os.open(self._node(), os.O_RDWR)
        with Path(f"/sys/class/uio/{self._node().name}/maps/map0/size").open() as size:
            self._memory = mmap.mmap(self._descriptor, int(size.read(), 16))
        version, flags, self._ring, self._ring_size = struct.unpack_from("<HHII", self._memory)
        assert version == VERSION, version
        assert flags & READ_LENGTHS, "this kernel has no lengths of reads"
        threading.Thread(target=self._serve, name=f"unit {lun}", daemon=True).start()

    def _node(self) -> Path:
        for one in Path("/sys/class/uio").iterdir():
            if (one / "name").read_text().rstrip().endswith("tapekit/unit") and (
                f"/unit{self.lun}/" in (one / "name").read_text()
            ):
                return Path("/dev") / one.name
        raise AssertionError("the kernel made no node for the unit")

    def attach(self) -> None:
        """Have the adapter find the unit."""
        place = ADAPTER / f"lun/lun_{self.lun}"
        place.mkdir()
        (place / "unit").symlink_to(self._store)

    def detach(self) -> None:
        """Pull the unit's plug."""
        (ADAPTER / f"lun/lun_{self.lun}/unit").unlink()
        (ADAPTER / f"lun/lun_{self.lun}").rmdir()

    def _serve(self) -> None:
        while True:
            os.read(self._descriptor, 4)
            while self._number(TAIL_AT) != self._number(HEAD_AT):
                self._entry(self._ring + self._number(TAIL_AT))
            os.write(self._descriptor, bytes(4))

    def _number(self, at: int) -> int:
        return int(struct.unpack_from("<I", self._memory, at)[0])

    def _entry(self, at: int) -> None:
        length_and_kind = self._number(at)
        kind, length = length_and_kind & 0x7, length_and_kind & ~0x7
        if kind == COMMAND:
            self._command(at)
        elif kind != PAD:
            self._memory[at + 7] = UNKNOWN
        tail = (self._number(TAIL_AT) + length) % self._ring_size
        struct.pack_into("<I", self._memory, TAIL_AT, tail)

    def _command(self, at: int) -> None:
        _, _, _, _, count, _, _, cdb_at, _, _ = REQUEST.unpack_from(self._memory, at)
        vectors = [
            VECTOR.unpack_from(self._memory, at + REQUEST.size + number * VECTOR.size)
            for number in range(count)
        ]
        cdb = self._memory[cdb_at : cdb_at + 16]
        room = sum(length for _, length in vectors)
        # Which way the data goes is not told; only these bring some.
        brings = cdb[0] in (0x0A, 0x15, 0x1D, 0x4C, 0x55, 0x5F)
        sent = b"".join(self._memory[start : start + length] for start, length in vectors)
        reply = self.door.execute(
            _trimmed(cdb), data_out=sent if brings else b"", data_in=0 if brings else room
        )
        rest = reply.data
        for start, length in vectors if rest else ():
            part, rest = rest[:length], rest[length:]
            self._memory[start : start + len(part)] = part
        if not brings:
            self._memory[at + 7] = HAS_READ_LENGTH
        ANSWER.pack_into(self._memory, at + 8, reply.status, len(reply.data), reply.sense)


def _trimmed(cdb: bytes) -> bytes:
    """A command without the padding that the kernel gives it."""
    length = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}.get(cdb[0] >> 5, 16)
    return cdb[:length]
