"""A host in memory: a sysfs in a folder, and nodes that virtual devices answer."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, final

import pytest

from tapekit.scsi.inquiry import DeviceType, encode_serial
from tapekit_scsi_sg.driver import ScsiSgDriver
from tapekit_scsi_sg.settings import ScsiSgSettings
from tapekit_scsi_sg.sg_node import SgAnswer
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.media_changer import MediaChanger
    from tapekit.hookspecs.tape_driver import TapeDrive


@final
class MemoryNode:
    """A node over the door of a virtual device, which can fail on cue."""

    def __init__(self, device: TapeDrive | MediaChanger, host: MemoryHost, path: str) -> None:
        self._device = device
        self._host = host
        self._path = path
        self.limits: list[int] = []
        self.next: list[SgAnswer | OSError] = []
        self.is_closed = False

    def send(self, cdb: bytes, data_out: bytes, data_in: int, limit_ms: int) -> SgAnswer:
        self.limits.append(limit_ms)
        if self.next:
            answer = self.next.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer
        door = self._device.door
        assert door is not None
        reply = door.execute(cdb, data_out=data_out, data_in=data_in)
        residual = len(data_out) - reply.written if data_out else data_in - len(reply.data)
        data = reply.data.ljust(data_in, b"?")
        return SgAnswer(reply.status, 0, 8 if reply.sense else 0, residual, data, reply.sense)

    def reset(self) -> None:
        if self.next and isinstance(self.next[0], OSError):
            raise self.next.pop(0)
        door = self._device.door
        assert door is not None
        door.reset()

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._host.open_paths.discard(self._path)
            self._device.close()


@final
class MemoryHost:
    """What is attached, as the kernel shows it."""

    def __init__(self, sysfs: Path) -> None:
        self.sysfs = sysfs
        (sysfs / "class/scsi_generic").mkdir(parents=True)
        self.devices: dict[str, Callable[[], TapeDrive | MediaChanger]] = {}
        self.nodes: list[MemoryNode] = []
        self.open_paths: set[str] = set()
        self.refusal: int | None = None

    def attach(
        self,
        node: str,
        nexus: str,
        serial: str = "",
        *,
        kind: int = DeviceType.TAPE,
        behind: str = "devices/platform/host0/target",
        opens: Callable[[], TapeDrive | MediaChanger] | None = None,
    ) -> Path:
        """Have the kernel find a device; its folder."""
        folder = self.sysfs / behind / nexus
        folder.mkdir(parents=True)
        for name, text in (
            ("type", f"{int(kind)}\n"),
            ("vendor", "TAPEKIT \n"),
            ("model", "VIRTUAL-TAPE    \n"),
            ("rev", "0001\n"),
        ):
            (folder / name).write_text(text)
        if serial:
            (folder / "vpd_pg80").write_bytes(encode_serial(kind, serial))
        entry = self.sysfs / "class/scsi_generic" / node
        entry.mkdir()
        (entry / "device").symlink_to(folder)
        if opens is not None:
            self.devices[f"/dev/{node}"] = opens
        return folder

    def detach(self, node: str) -> None:
        """Have the kernel forget a device."""
        entry = self.sysfs / "class/scsi_generic" / node
        (entry / "device").unlink()
        entry.rmdir()
        self.devices.pop(f"/dev/{node}", None)

    def open_node(self, path: str) -> MemoryNode:
        if self.refusal is not None:
            raise OSError(self.refusal, os.strerror(self.refusal), path)
        if path not in self.devices:
            raise OSError(errno.ENXIO, "No such device or address", path)
        if path in self.open_paths:
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        self.open_paths.add(path)
        self.nodes.append(MemoryNode(self.devices[path](), self, path))
        return self.nodes[-1]

    def driver(self, *, looks: bool = True, **settings: object) -> ScsiSgDriver:
        made = ScsiSgDriver(
            ScsiSgSettings(**settings),  # type: ignore[arg-type] # as given
            sysfs=self.sysfs,
            open_node=self.open_node,
        )
        if looks:
            made.discover()
            made.discover_changers()
        return made


@pytest.fixture
def empty_host(tmp_path: Path) -> MemoryHost:
    """A host to which nothing is attached."""
    return MemoryHost(tmp_path / "sys")


@pytest.fixture
def host(empty_host: MemoryHost, tmp_path: Path) -> MemoryHost:
    """A changer as LUN 0 of target 1, a drive with a tape as LUN 1, an empty
    one as LUN 300.
    """
    tapes = VtapeDriver(VtapeSettings(directory=str(tmp_path / "tapes"), slots=4))
    tapes.library.create("S1", ["T00001"])
    for node, nexus, serial, kind, opens in (
        ("sg2", "0:0:1:0", "S1L00", DeviceType.CHANGER, tapes.changer),
        ("sg10", "0:0:1:1", "S1D00", DeviceType.TAPE, lambda: tapes.open_drive("0")),
        ("sg9", f"0:0:1:{0x4000 | 300}", "S1D01", DeviceType.TAPE, lambda: tapes.open_drive("1")),
    ):
        empty_host.attach(node, nexus, serial, kind=kind, opens=opens)
    return empty_host
