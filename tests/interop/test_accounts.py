"""NDMJOB logs in with the NDMP passwords of login accounts."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

import pytest

from interop_peers import need

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack


def administered(stack: Stack, line: str) -> str:
    """What a command of an administrator prints, in a process of its own."""
    return stack.tapekit(*line.split(), "--stack", str(stack.file))


def sees_the_volume(stack: Stack, user: str, password: str, *, text: bool = False) -> bool:
    agent = stack.agent(text=text).rpartition("/")[0]
    login = f"/4{'t' if text else 'm'},{user},{password}"
    return "/vs1/vol1" in stack.ndmjob("-v", "-q", "-D", agent + login, check=False).stdout


@pytest.mark.requirement("R178")
@pytest.mark.requirement("R179")
@pytest.mark.requirement("R181")
def test_ndmjob_logs_in_with_passwords_made_for_accounts(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob")
    file = tmp_path / "login-password"
    file.touch(0o600)
    file.write_text("Correct0Horse\n")
    generate = "vserver services ndmp generate-password -vserver vs1 -user"
    account = "-role vsadmin-backup -vserver vs1"
    administered(stack, f"security login create -user user1 {account} --password-file {file}")
    assert not sees_the_volume(stack, "user1", "Correct0Horse")
    first = administered(stack, f"{generate} user1").split()[-1]
    assert sees_the_volume(stack, "user1", first)
    assert not sees_the_volume(stack, "user1", first, text=True)
    administered(stack, "vserver services ndmp modify -vserver vs1 -authtype plaintext,challenge")
    assert sees_the_volume(stack, "user1", first, text=True)

    file.write_text("Battery9Staple\n")
    administered(stack, f"security login password -user user1 --password-file {file}")
    assert not sees_the_volume(stack, "user1", first)

    # The machine's own name service, which also asks NIS and LDAP where it is told to.
    known = pwd.getpwall()[0].pw_name
    administered(stack, f"security login create -user {known} -authmethod nsswitch {account}")
    password = administered(stack, f"{generate} {known}").split()[-1]
    assert sees_the_volume(stack, known, password)
    for secret in (first, password, "Correct0Horse"):
        assert secret not in stack.log.read_text()
