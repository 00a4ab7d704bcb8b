"""The state store as the kernel sees it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitSite
from tapekit_state_sqlite.plugin import StateSqlitePlugin
from tapekit_state_sqlite.settings import StateSqliteSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel


async def test_a_stack_remembers_over_restarts(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    for round_number in range(2):
        kernel = assembled(StateSqlitePlugin)
        ((_, context),) = kernel.contexts()
        async with context:
            found = kernel.state.get("test.round", "number")
            assert found == (None if round_number == 0 else b"0")
            kernel.state.change("test.round", {"number": b"%d" % round_number})
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["tapekit.sqlite"]


def test_assembling_a_stack_makes_no_file(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    assembled(StateSqlitePlugin)
    assert not (tmp_path / "state").exists()


async def test_a_damaged_file_stops_the_start(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    (tmp_path / "my.sqlite").write_bytes(b"no database " * 100)
    kernel = assembled(StateSqlitePlugin, tables='[state_sqlite]\npath = "my.sqlite"\n')
    ((_, context),) = kernel.contexts()
    with pytest.raises(TapekitError) as stopped:
        await context.__aenter__()
    assert stopped.value.id == "state_sqlite.damaged"


def test_it_offers_the_command_group_state(assembled: Callable[..., StackKernel]) -> None:
    assert list(assembled(StateSqlitePlugin).command_groups({})) == ["state"]


def test_the_file_is_not_opened_before_the_stack_is_assembled() -> None:
    store: Any = StateSqlitePlugin(StateSqliteSettings()).tapekit_provide_state_store()
    with pytest.raises(AssertionError, match="before the stack was assembled"):
        store.get("x", "y")


def test_a_new_site_names_the_file(tmp_path: Path) -> None:
    part = StateSqlitePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000))
    settings = msgspec.convert(tomllib.loads(part.settings), StateSqliteSettings)
    assert settings == StateSqliteSettings()
