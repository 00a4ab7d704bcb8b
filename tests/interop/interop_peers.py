"""The programs that nobody here wrote, and what to install for each."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Peer:
    """A program, where it may lie, and the Debian package that has it."""

    name: str
    package: str
    also_in: tuple[str, ...] = ()

    def find(self) -> str | None:
        """Its full path, or ``None``."""
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *self.also_in))
        return shutil.which(self.name, path=path)


@dataclass(frozen=True)
class PerlModule(Peer):
    """A module that a peer written in Perl cannot do without."""

    def find(self) -> str | None:
        """Where Perl finds it, or ``None``."""
        look = f'print $INC{{"{self.name.replace("::", "/")}.pm"}}'
        try:
            done = subprocess.run(
                ["perl", f"-M{self.name}", "-e", look], check=True, capture_output=True, text=True
            )
        except (FileNotFoundError, subprocess.CalledProcessError):
            return None
        return done.stdout


@dataclass(frozen=True)
class SharedLibrary(Peer):
    """A library that a plugin loads."""

    def find(self) -> str | None:
        """Its file name, or ``None``."""
        return ctypes.util.find_library(self.name)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("ndmjob", "amanda-server", ("/usr/lib/amanda",)),
        Peer("amlabel", "amanda-server"),
        Peer("amtape", "amanda-server"),
        Peer("amdevcheck", "amanda-server"),
        Peer("amcheck-device", "amanda-server", ("/usr/lib/amanda",)),
        # Amanda's programs load it, and Debian's package does not depend on it.
        PerlModule("Encode::Locale", "libencode-locale-perl"),
        Peer("runuser", "util-linux"),
        Peer("dump", "dump"),
        Peer("restore", "dump"),
        Peer("mkfs.ext4", "e2fsprogs"),
        Peer("tshark", "tshark"),
        Peer("openssl", "openssl"),
        Peer("losetup", "util-linux"),
        Peer("cc", "gcc libc6-dev"),
        Peer("tgtd", "tgt"),
        Peer("tgtadm", "tgt"),
        Peer("tgtimg", "tgt"),
        SharedLibrary("iscsi", "libiscsi7"),
        Peer("qemu-system-x86_64", "qemu-system-x86"),
        Peer("busybox", "busybox-static"),
        Peer("cpio", "cpio"),
        Peer("depmod", "kmod"),
        Peer("modprobe", "kmod"),
    )
}


def missing() -> list[Peer]:
    """The peers that this machine does not have."""
    return [peer for peer in PEERS.values() if peer.find() is None]


def required() -> bool:
    """Whether a missing peer is a failure rather than a skip."""
    return os.environ.get("TAPEKIT_REQUIRE_PEERS") == "1"


def program(name: str) -> Path:
    """The path of a peer that is known to be there."""
    found = PEERS[name].find()
    assert found is not None, f"{name} is missing: apt-get install {PEERS[name].package}"
    return Path(found)


def need(*names: str) -> None:
    """Skip unless the peers are there; fail where they are required."""
    absent = [peer for peer in missing() if peer.name in names]
    if absent:
        reason = ", ".join(f"{peer.name} (apt-get install {peer.package})" for peer in absent)
        if required():
            pytest.fail(f"required peers are missing: {reason}")
        pytest.skip(f"missing: {reason}")


def main() -> int:
    """Say what is missing, for the head of ``make interop``."""
    absent = missing()
    for peer in absent:
        print(f"missing: {peer.name} (apt-get install {peer.package})")
    return 1 if absent and required() else 0


if __name__ == "__main__":
    raise SystemExit(main())
