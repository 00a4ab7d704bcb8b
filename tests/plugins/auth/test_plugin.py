"""Logins as the kernel sees them."""

from __future__ import annotations

import logging
import stat
import tomllib
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitSite
from tapekit.kernel import StartErrors
from tapekit_auth.accounts import NAMESPACE
from tapekit_auth.plugin import AuthPlugin
from tapekit_auth.settings import AuthSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel

LISTED = '[auth]\nusers = [{name = "anna", password_file = "password"}]\n'


def start_errors(assembled: Callable[..., StackKernel], tables: str) -> list[str]:
    with pytest.raises(StartErrors) as refused:
        assembled(AuthPlugin, tables=tables)
    return [error.id for error in refused.value.errors]


@pytest.mark.requirement("R174")
@pytest.mark.parametrize(
    ("password", "row"),
    [(b"\n", "empty-password"), (b"anna\n", "default-password"), (b"ndmp\n", "default-password")],
)
def test_empty_and_default_passwords_stop_the_start(
    password: bytes, row: str, assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_bytes(password)
    assert start_errors(assembled, LISTED) == [f"auth.{row}"]


def test_a_password_file_that_others_can_read_stops_the_start(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    (tmp_path / "password").write_bytes(b"Correct0Horse1Ba")
    (tmp_path / "password").chmod(0o644)
    assert start_errors(assembled, LISTED) == ["auth.secret-open-to-others"]


def test_a_role_that_is_defined_twice_stops_the_start(
    assembled: Callable[..., StackKernel],
) -> None:
    tables = '[auth]\ncustom_roles = [{name = "admin", commands = {}}]\n'
    assert start_errors(assembled, tables) == ["auth.role-twice"]


def test_assembling_makes_no_key(assembled: Callable[..., StackKernel], tmp_path: Path) -> None:
    assembled(AuthPlugin)
    assert [path.name for path in tmp_path.iterdir()] == ["tapekit.toml"]


async def test_a_stack_without_users_starts_and_says_so(
    assembled: Callable[..., StackKernel], caplog: pytest.LogCaptureFixture
) -> None:
    ((_, context),) = assembled(AuthPlugin).contexts()
    async with context:
        warnings = [one.getMessage() for one in caplog.records if one.name == "tapekit.auth"]
    assert [one for one in warnings if "nobody can log in" in one]
    assert all(one.levelno == logging.WARNING for one in caplog.records)


async def test_a_user_that_cannot_be_opened_stops_the_start(
    assembled: Callable[..., StackKernel],
) -> None:
    kernel = assembled(AuthPlugin)
    kernel.state.change(NAMESPACE, {"anna": b"damaged"})
    ((_, context),) = kernel.contexts()
    with pytest.raises(TapekitError) as stopped:
        await context.__aenter__()
    assert stopped.value.id == "auth.record-damaged"


def test_it_offers_its_commands(assembled: Callable[..., StackKernel]) -> None:
    assert list(assembled(AuthPlugin).command_groups({})) == [
        "auth",
        "security login",
        "vserver services ndmp generate-password",
        "system services ndmp password",
    ]


def test_a_new_site_has_a_user_with_a_password_of_its_own(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    part = AuthPlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000))
    file = tmp_path / "ndmp-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 17
    assert len(part.created) == 1
    settings = msgspec.convert(tomllib.loads(part.settings), AuthSettings)
    assert [user.name for user in settings.users] == ["ndmp"]
    assembled(AuthPlugin, tables=f"[auth]\n{part.settings}")


def test_a_new_site_keeps_a_password_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "ndmp-password").write_text("mine")
    part = AuthPlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000))
    assert (tmp_path / "ndmp-password").read_text() == "mine"
    assert part.created == ()
