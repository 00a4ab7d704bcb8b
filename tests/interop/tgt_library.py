"""A library of tgt, the Linux SCSI target framework: a daemon on loopback with
two drives, a changer and cartridges in files, all of them tgt's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from free_ports import free_port

from interop_peers import need, program
from running_stack import make_stack, run_checked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running_stack import Stack

NAME = "iqn.2026-11.net.example:library"
INITIATOR = "iqn.2026-11.net.example:tapekit"
DRIVES = (256, 257)
SLOTS = tuple(range(1024, 1032))
MAIL_SLOTS = (16, 17)
DRIVE_LUNS = (1, 2)
CHANGER_LUN = 3
CARTRIDGE_MB = 2048
PATIENCE_S = 60


def barcode(slot: int) -> str:
    """What is in a slot at first."""
    return f"TK{slot - SLOTS[0] + 1:04}L6"


@dataclass
class TgtLibrary:
    """The daemon and its cartridges in a folder."""

    directory: Path
    port: int
    control: int
    daemon: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The target as the setting of the plugin."""
        return f"iscsi://127.0.0.1:{self.port}/{NAME}"

    def admin(self, *arguments: str) -> str:
        """Run tgtadm."""
        return run_checked(
            [program("tgtadm"), "-C", str(self.control), "--lld", "iscsi", *arguments]
        )

    def update(self, lun: int, parameters: str) -> None:
        """Change a logical unit."""
        unit = ("--mode", "logicalunit", "--op", "update", "--tid", "1", "--lun", str(lun))
        self.admin(*unit, "--params", parameters)

    def blank(self, cartridge: str, size_mb: int = CARTRIDGE_MB) -> None:
        """Make a cartridge that is not in a drive, empty."""
        file = self.directory / cartridge
        file.unlink(missing_ok=True)
        kind = ("--op", "new", "--device-type", "tape", "--type", "data")
        what = ("--barcode", cartridge, "--size", str(size_mb), "--file", str(file))
        run_checked([program("tgtimg"), *kind, *what])

    def protect(self, user: str, password: str) -> None:
        """Let nobody in who does not say this."""
        account = ("--mode", "account", "--user", user)
        self.admin(*account, "--op", "new", "--password", password)
        self.admin(*account, "--op", "bind", "--tid", "1")

    def kill(self) -> None:
        """End as a power cut would end it."""
        self.daemon.kill()
        self.daemon.wait(timeout=PATIENCE_S)


@contextlib.contextmanager
def tgt_library(directory: Path, *options: str, port: int | None = None) -> Iterator[TgtLibrary]:
    """A library that serves inside the block: a cartridge in each slot, empty
    drives.

    :param options: more of the portal, such as ``nop_interval=1``.
    :param port: where another one has served before.
    """
    need("tgtd", "tgtadm", "tgtimg", "iscsi")
    if os.geteuid() != 0:
        pytest.skip("tgtd needs root")
    directory.mkdir()
    port = port or free_port()
    # The number of the daemon's control socket has 15 bits.
    control = port & 0x7FFF
    portal = ",".join((f"portal=127.0.0.1:{port}", *options))
    with (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [program("tgtd"), "-f", "-C", str(control), "--iscsi", portal],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    library = TgtLibrary(directory, port, control, daemon)
    try:
        _wait_for(port)
        _set_up(library)
        yield library
    finally:
        library.kill()
        shutil.rmtree(directory)


@contextlib.contextmanager
def tgt_stack(library: TgtLibrary, directory: Path, setting: str | None = None) -> Iterator[Stack]:
    """A stack that serves the tapes of the library inside the block.

    :param setting: where the library is, as a line of the plugin's table.
    """
    made = make_stack(directory)
    made.edit(r'^    "vtape",', '    "scsi_iscsi",')
    setting = setting or f'targets = ["{library.url}"]'
    made.edit(r"^\[vtape\](.|\n)*", f'[scsi_iscsi]\ninitiator = "{INITIATOR}"\n{setting}\n')
    made.start()
    try:
        yield made
    finally:
        assert made.stop() == 0, made.log.read_text()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "tgtd does not listen"
        else:
            return


def _set_up(library: TgtLibrary) -> None:
    for slot in SLOTS:
        library.blank(barcode(slot))
    new = ("--op", "new", "--tid", "1")
    library.admin("--mode", "target", *new, "--targetname", NAME)
    for lun, slot in zip(DRIVE_LUNS, SLOTS, strict=False):
        image = str(library.directory / barcode(slot))
        unit = ("--mode", "logicalunit", *new, "--lun", str(lun))
        tape = ("--device-type", "tape", "--bstype", "ssc", "--backing-store", image)
        library.admin(*unit, *tape)
        library.update(lun, f"vendor_id=TGT,product_id=ULTRIUM-TD6,scsi_sn=DRV000{lun},online=0")
    (library.directory / "smc").write_bytes(bytes(1024))
    unit = ("--mode", "logicalunit", *new, "--lun", str(CHANGER_LUN))
    backing = ("--backing-store", str(library.directory / "smc"))
    library.admin(*unit, "--device-type", "changer", *backing)
    for parameters in _elements(library):
        library.update(CHANGER_LUN, parameters)
    library.admin("--mode", "target", "--op", "bind", "--tid", "1", "--initiator-address", "ALL")


def _elements(library: TgtLibrary) -> Iterator[str]:
    yield f"media_home={library.directory}"
    yield "vendor_id=TGT,product_id=LIBRARY,scsi_sn=LIB0001"
    for kind, addresses in ((1, (1,)), (4, DRIVES), (2, SLOTS), (3, MAIL_SLOTS)):
        yield f"element_type={kind},start_address={addresses[0]},quantity={len(addresses)}"
    for address, lun in zip(DRIVES, DRIVE_LUNS, strict=True):
        yield f"element_type=4,address={address},tid=1,lun={lun}"
    for slot in SLOTS:
        yield f"element_type=2,address={slot},barcode={barcode(slot)},sides=1"
