"""NDMJOB asks the server what it is and has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interop_peers import need

if TYPE_CHECKING:
    from running_stack import Stack


@pytest.mark.requirement("R171")
@pytest.mark.parametrize("text", [False, True], ids=["md5", "text"])
def test_query_lists_host_butype_volumes_and_devices(stack: Stack, text: bool) -> None:
    need("ndmjob")
    modify = ("vserver", "services", "ndmp", "modify", "-vserver", "vs1")
    stack.tapekit(*modify, "-authtype", "plaintext,challenge", "--stack", str(stack.file))
    agent = stack.agent(text=text)
    shown = stack.ndmjob("-v", "-q", "-D", agent, "-T", agent).stdout
    assert "os_type    Linux" in shown
    assert "tapekit" in shown.lower()
    for line in (
        "Backup type info of dump format",
        "attrs",
        "/vs1/vol1",
        "nrst0a",
        "nrst1a",
        "MD5",
        "TEXT",
    ):
        assert line.lower() in shown.lower(), f"{line} is missing in:\n{shown}"


def test_query_with_a_wrong_password_fails(stack: Stack) -> None:
    need("ndmjob")
    agent = stack.agent().replace(stack.password, "not-the-password")
    done = stack.ndmjob("-v", "-q", "-D", agent, check=False)
    assert "/vs1/vol1" not in done.stdout
    assert "not-the-password" not in stack.log.read_text()
