"""A stack in a process of its own, and NDMJOB against it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from free_ports import free_port

from interop_peers import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TAPEKIT = (sys.executable, "-m", "tapekit")
RUNNING: list[Stack] = []
"""Those that a test has started and not ended yet."""
PATIENCE_S = 240


@dataclass
class Stack:
    """A directory made by ``tapekit init`` and the server running on it."""

    directory: Path
    port: int
    host: str = "127.0.0.1"
    server: subprocess.Popen[str] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.directory / "server.log"

    @property
    def file(self) -> Path:
        return self.directory / "tapekit.toml"

    @property
    def password(self) -> str:
        return (self.directory / "ndmp-password").read_text().strip()

    @property
    def volume(self) -> Path:
        return self.directory / "volumes" / "vs1" / "vol1"

    @property
    def pid(self) -> int:
        assert self.server is not None
        return self.server.pid

    def edit(self, pattern: str, replacement: str) -> None:
        """Change the stack file; the pattern must be there."""
        text, count = re.subn(pattern, replacement, self.file.read_text(), flags=re.MULTILINE)
        assert count, f"{pattern!r} is not in {self.file}"
        tomllib.loads(text)
        self.file.write_text(text)

    def start(self) -> None:
        """Serve, and return once it listens."""
        with self.log.open("a") as log:
            self.server = subprocess.Popen(
                (*TAPEKIT, "serve", str(self.file)), stdout=subprocess.PIPE, stderr=log, text=True
            )
        RUNNING.append(self)
        assert self.server.stdout is not None
        # Ends the wait below, should the server neither listen nor end.
        impatience = threading.Timer(PATIENCE_S, self.server.kill)
        impatience.start()
        line = self.server.stdout.readline()
        impatience.cancel()
        host = f"[{self.host}]" if ":" in self.host else self.host
        assert line == f"listening on {host}:{self.port}\n", line + self.log.read_text()

    def stop(self) -> int:
        """End as an operator would; gives the exit status."""
        assert self.server is not None
        with self.server:
            self.server.send_signal(signal.SIGTERM)
            try:
                status = self.server.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                # Leaving the block would wait for it without a limit.
                self.server.kill()
                raise
        self._has_ended()
        return status

    def kill(self) -> None:
        """End as a power cut would end the process."""
        assert self.server is not None
        with self.server:
            self.server.kill()
        self._has_ended()

    def _has_ended(self) -> None:
        self.server = None
        # Several may be equal.
        RUNNING[:] = [stack for stack in RUNNING if stack is not self]

    def tapekit(self, *arguments: str) -> str:
        """Run the command line; gives what it printed."""
        return subprocess.run(
            (*TAPEKIT, *arguments), check=True, capture_output=True, text=True, timeout=PATIENCE_S
        ).stdout

    def cartridges(self) -> list[dict[str, object]]:
        """``tapekit vtape list --json``"""
        rows: list[dict[str, object]] = json.loads(
            self.tapekit("vtape", "list", str(self.file), "--json")
        )
        return rows

    def export(self, cartridge: str, file: int, output: Path) -> Path:
        """Take the bytes of a tape file off a cartridge."""
        self.tapekit(
            "vtape", "export", str(self.file), cartridge, "--file", str(file), "-o", str(output)
        )
        return output

    def agent(self, *, text: bool = False) -> str:
        """This server in NDMJOB's notation."""
        return f"{self.host}:{self.port}/4{'t' if text else 'm'},ndmp,{self.password}"

    def ndmjob(
        self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run NDMJOB, with these variables besides the present ones."""
        empty = self.directory / "ndmjob.conf"
        empty.touch()
        done = subprocess.run(
            (
                str(program("ndmjob")),
                "-o",
                f"config-file={empty}",
                "-o",
                "no-time-stamps",
                *arguments,
            ),
            check=False,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
            cwd=self.directory,
            env={**os.environ, **(environment or {})},
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr + self.log.read_text()
        return done


def make_stack(directory: Path, host: str = "127.0.0.1", port: int | None = None) -> Stack:
    """``tapekit init`` on a free port."""
    port = free_port() if port is None else port
    subprocess.run(
        (*TAPEKIT, "init", str(directory), "--host", host, "--port", str(port)),
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    return Stack(directory, port, host)


@contextlib.contextmanager
def served(directory: Path, host: str = "127.0.0.1", port: int | None = None) -> Iterator[Stack]:
    """A stack that serves inside the block and ends cleanly after it."""
    stack = make_stack(directory, host, port)
    stack.start()
    try:
        yield stack
    finally:
        if stack.server is not None:
            status = stack.stop()
            assert status == 0, stack.log.read_text()


def run_checked(arguments: Sequence[str | os.PathLike[str]], **options: object) -> str:
    """Run a Debian program that must succeed; gives both its outputs."""
    done = subprocess.run(  # type: ignore[call-overload]  # options pass through
        [os.fspath(argument) for argument in arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="surrogateescape",
        timeout=PATIENCE_S,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)
