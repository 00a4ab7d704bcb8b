"""NDMJOB as a server: a DATA agent with a formatter, and a TAPE agent."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from free_ports import free_port

from interop_peers import program
from running_stack import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATTER = Path(__file__).with_name("ndmjob_formatter.py")

CONFIGURATION = """
[butype tar]
\tv4attr 0x4321
\tdefault_env HIST f
"""


@dataclass(frozen=True)
class NdmjobAgent:
    """A running agent, and the one tape that it has: a file."""

    port: int
    tape: Path

    @property
    def agent(self) -> str:
        """This server in NDMJOB's notation."""
        return f"127.0.0.1:{self.port}/4m,ndmp,ndmp"


@contextlib.contextmanager
def ndmjob_agent(directory: Path) -> Iterator[NdmjobAgent]:
    """NDMJOB serving on a free port inside the block."""
    directory.mkdir()
    formatter = directory / "wrap_tar"
    formatter.write_text(f'#! /bin/sh\nexec {sys.executable} {FORMATTER} "$@"\n')
    formatter.chmod(0o755)
    configuration = directory / "ndmjob.conf"
    configuration.write_text(CONFIGURATION)
    (directory / "tape").touch()
    port = free_port()
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            (
                *(program("ndmjob"), "-o", f"config-file={configuration}"),
                *("-o", "test-daemon", "-p", str(port)),
            ),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"},
        )
        with server:
            try:
                _until_it_listens(server, port)
                yield NdmjobAgent(port, directory / "tape")
            finally:
                server.terminate()


def _until_it_listens(server: subprocess.Popen[bytes], port: int) -> None:
    while server.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
            return
    raise AssertionError(f"NDMJOB ended with status {server.returncode}")
