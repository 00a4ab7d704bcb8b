"""OpenSSL's client at the port of secure control connections."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from free_ports import free_port

from interop_peers import need, program
from running_stack import PATIENCE_S, make_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running_stack import Stack

CONNECTED = b"\0\0\5\2"
"""The code of NOTIFY_CONNECTION_STATUS, with which every server begins."""


@pytest.fixture
def secure_stack(tmp_path: Path) -> Iterator[tuple[Stack, int]]:
    """A stack with secure control connections, and their port."""
    need("openssl")
    stack = make_stack(tmp_path / "stack")
    port = free_port()
    stack.edit(r"^svms = \[\]$", 'svms = ["vs1"]')
    stack.edit(r'"127\.0\.0\.1:30000"', f'"127.0.0.1:{port}"')
    stack.start()
    yield stack, port
    assert stack.stop() == 0


CONNECT_CLOSE = bytes.fromhex("80000018 00000001 00000000 00000000 00000902 00000000 00000000")
"""After which a server closes the connection."""


def s_client(port: int, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Connect, say goodbye, and take all that the server says."""
    return subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *options],
        check=False,
        capture_output=True,
        input=CONNECT_CLOSE,
        timeout=PATIENCE_S,
    )


@pytest.mark.requirement("R183")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_verifies_the_certificate_that_is_shown(
    secure_stack: tuple[Stack, int], version: str
) -> None:
    stack, port = secure_stack
    file = stack.directory / "shown.pem"
    file.write_text(stack.tapekit("tls", "show", str(stack.file), "--pem"))
    trust = ("-CAfile", str(file), "-verify_return_error", "-verify_ip", "127.0.0.1")
    done = s_client(port, version, *trust, "-brief")
    assert b"Verification: OK" in done.stderr, done.stderr
    assert CONNECTED in done.stdout


@pytest.mark.requirement("R183")
def test_older_versions_of_tls_are_refused(secure_stack: tuple[Stack, int]) -> None:
    stack, port = secure_stack
    done = s_client(port, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert done.returncode != 0
    assert CONNECTED not in done.stdout
    assert "the TLS handshake failed" in stack.log.read_text()


def test_no_client_certificate_is_asked_for(secure_stack: tuple[Stack, int]) -> None:
    _, port = secure_stack
    done = s_client(port, "-noservername")
    assert b"No client certificate CA names sent" in done.stdout, done.stdout
