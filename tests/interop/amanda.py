"""Amanda as a backup application: its NDMP device and its NDMP changer."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interop_peers import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running_stack import Stack

PEERS = ("amlabel", "amtape", "amdevcheck", "amcheck-device", "runuser", "Encode::Locale")

BLOCK_BYTES = 32768
"""Amanda's blocks; the last one of a part is filled with zeros."""

SCRIPT = Path(__file__).with_name("amanda_device.pl")

CONFIGURATION = """
org "TAPEKIT"
labelstr "^TAPE-[0-9]+$"
tapetype VIRTUAL
define tapetype VIRTUAL {{
    length 100 mbytes
}}
infofile "{directory}/infofile"
logdir "{directory}/log"
indexdir "{directory}/index"
tapelist "{directory}/tapelist"
device_property "NDMP_USERNAME" "ndmp"
device_property "NDMP_PASSWORD" "{password}"
define changer robot {{
    tpchanger "chg-ndmp:{server}@mc0"
    changerfile "{directory}/changer-state"
    property "tape-device" "0=ndmp:{server}@nrst0a"
    property append "tape-device" "1=ndmp:{server}@nrst1a"
    property "ndmp-username" "ndmp"
    property "ndmp-password" "{password}"
}}
define changer drive {{
    tpchanger "chg-single:ndmp:{server}@nrst0a"
    changerfile "{directory}/drive-state"
}}
define storage robot {{
    tpchanger "robot"
    tapetype "VIRTUAL"
    labelstr "^TAPE-[0-9]+$"
}}
define storage drive {{
    tpchanger "drive"
    tapetype "VIRTUAL"
    labelstr "^TAPE-[0-9]+$"
}}
storage "{storage}"
"""


@dataclass
class Amanda:
    """A configuration of Amanda's, and its programs run as Amanda's user."""

    directory: Path
    stack: Stack

    def run(self, name: str, *arguments: str) -> str:
        """Run one of Amanda's programs, which must succeed; gives what it printed."""
        return self._run(str(program(name)), *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            (program("runuser"), "-u", "backup", "--", *command),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            cwd=self.directory,
        )
        assert done.returncode == 0, done.stdout + self.stack.log.read_text()
        return done.stdout

    def write(self, way: str, data: bytes, part_bytes: int = 1 << 18) -> list[int]:
        """Write a volume whose parts hold data; gives their sizes."""
        file = self.directory / "to-tape"
        file.write_bytes(data)
        file.chmod(0o644)
        told = self._device("write", way, str(part_bytes), str(file))
        return [int(line.split()[-1]) for line in told.splitlines() if line.startswith("part ")]

    def read(self, way: str, parts: int = 1) -> bytes:
        """Read these parts of the volume back."""
        file = self.directory / "from-tape"
        told = self._device("read", way, str(parts), str(file))
        assert "volume TAPEKIT-01\n" in told
        assert told.count("part of host:/disk\n") == parts
        return file.read_bytes()

    def _device(self, *arguments: str) -> str:
        device = f"ndmp:{self.stack.host}:{self.stack.port}@nrst0a"
        return self._run("/usr/bin/perl", str(SCRIPT), device, self.stack.password, *arguments)


@contextlib.contextmanager
def amanda_of(stack: Stack, storage: str = "drive") -> Iterator[Amanda]:
    """A configuration for a stack's devices: one drive, or the robot. It is
    in a folder that is Amanda's, since pytest's are closed to other users.
    """
    with tempfile.TemporaryDirectory(prefix="tapekit-amanda-") as name:
        directory = Path(name)
        for part in ("log", "index"):
            (directory / part).mkdir()
        (directory / "tapelist").touch()
        (directory / "amanda.conf").write_text(
            CONFIGURATION.format(
                directory=directory,
                password=stack.password,
                server=f"{stack.host}:{stack.port}",
                storage=storage,
            )
        )
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, "backup")
        yield Amanda(directory, stack)


def padded(data: bytes) -> bytes:
    """Data as it comes back: its last block is whole."""
    return data + bytes(-len(data) % BLOCK_BYTES)
