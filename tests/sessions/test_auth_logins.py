"""Login accounts and their NDMP passwords, with a server that runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio
from typer.testing import CliRunner

from session_stack import ServedStack, clock, new_site, serving
from tapekit.cli.groups import group_command
from tapekit.kernel import assemble, installed
from tapekit_auth.auditing import user_called
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AuthType, NdmpError

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.kernel import StackKernel

FIRST, SECOND = "Correct0Horse", "Battery9Staple"
GENERATE = "vserver services ndmp generate-password -vserver vs1 -user user1"


async def command(stack: ServedStack, line: str, *answers: str) -> str:
    """What a command prints whose questions get these answers."""

    def run() -> str:
        words = line.split()
        groups = [
            group
            for name, group in stack.kernel.command_groups({}).items()
            if name.split()[0] == words[0]
        ]
        app = group_command(groups)
        app.callback()(lambda: None)
        typed = "".join(f"{answer}\n" for answer in answers)
        result = CliRunner().invoke(app, words, input=typed, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    with trio.fail_after(60):
        return await trio.to_thread.run_sync(run)


async def logs_in(stack: ServedStack, method: AuthType, password: str) -> bool:
    async with stack.stranger() as client:
        await client.open()
        try:
            await client.authenticate(method, "user1", password.encode())
        except NdmpReplyError as refusal:
            if refusal.code != NdmpError.NOT_AUTHORIZED_ERR:
                raise
            return False
        return True


@pytest.mark.requirement("R179")
@pytest.mark.requirement("R181")
@pytest.mark.parametrize("method", [AuthType.MD5, AuthType.TEXT])
async def test_an_ndmp_password_serves_until_the_login_password_changes(
    stack: ServedStack, method: AuthType
) -> None:
    options = "-user-or-group-name user1 -application ssh -authentication-method password"
    await command(stack, "vserver services ndmp modify -vserver vs1 -authtype plaintext,challenge")
    await command(
        stack, f"security login create {options} -role vsadmin -vserver vs1", FIRST, FIRST
    )
    assert not await logs_in(stack, method, FIRST)
    first = (await command(stack, GENERATE)).split()[-1]
    assert await logs_in(stack, method, first)
    assert await logs_in(stack, method, first)
    await command(stack, "security login password -user user1", SECOND, SECOND)
    assert not await logs_in(stack, method, first)
    second = (await command(stack, GENERATE)).split()[-1]
    assert await logs_in(stack, method, second)
    await command(stack, "security login delete -user user1")
    assert not await logs_in(stack, method, second)


async def test_changes_of_users_are_in_the_backup_log(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory)
    async with serving(directory, kernel) as stack:
        await command(stack, "auth add anna --role vsadmin --svm vs1")
        await command(stack, "auth remove anna")
    # No server runs now; the command has the log for itself.
    stopped = ServedStack(
        directory, kernel_of(directory), 0, trio.open_memory_channel[object](1)[0]
    )
    await command(stopped, "auth add anna")
    lines = (directory / "log" / "backup").read_text().splitlines()
    told = [line.split(" ", 7)[-1] for line in lines if "Account_" in line]
    by = user_called(os.getuid())
    assert told == [
        f"Account_added (anna, vsadmin, SVMs vs1, by {by})",
        f"Account_removed (anna, by {by})",
        f"Account_added (anna, backup, SVMs all, by {by})",
    ]


def kernel_of(directory: Path) -> StackKernel:
    return assemble(directory / "tapekit.toml", installed(), clock=clock)
