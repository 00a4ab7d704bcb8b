"""In a stack, devices are called by their aliases, over restarts too."""

from __future__ import annotations

import functools
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitSite
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit_aliases.plugin import AliasesPlugin
from tapekit_state_sqlite.plugin import StateSqlitePlugin
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_vtape.plugin import VtapePlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel


@pytest.fixture
def started(assembled: Callable[..., StackKernel], management: Any, tmp_path: Path) -> Any:
    """Starts a stack with two virtual drives and a changer, as often as asked."""
    table = VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000)).settings

    @asynccontextmanager
    async def start() -> AsyncIterator[StackKernel]:
        kernel = assembled(
            TapeDevicesPlugin,
            AliasesPlugin,
            StateSqlitePlugin,
            VtapePlugin,
            management,
            tables=f'node = "Node1"\n[vtape]\n{table}',
        )
        async with AsyncExitStack() as contexts:
            for _, context in kernel.contexts():
                await contexts.enter_async_context(context)
            yield kernel

    return start


async def typed(kernel: StackKernel, line: str) -> str:
    """What a command prints.

    :raises TapekitError: what it raised.
    """
    app = group_command(list(kernel.command_groups({}).values()))
    invoke = functools.partial(CliRunner().invoke, app, line.split())
    result = await trio.to_thread.run_sync(invoke)
    if isinstance(result.exception, TapekitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def serials_of(kernel: StackKernel) -> list[str]:
    assert kernel.tape_inventory is not None
    return [row.description.serial for row in kernel.tape_inventory.drives()]


def path_behind(kernel: StackKernel, device: str) -> str:
    """The physical path of the drive that a device opens."""
    inventory = kernel.tape_inventory
    assert inventory is not None
    tape = inventory.open(device, OpenMode.READ, "test")
    try:
        (path,) = (row.description.physical_path for row in inventory.drives() if row.holder)
    finally:
        tape.close()
    return path


async def test_new_devices_have_aliases_by_their_serial_numbers(started: Any) -> None:
    async with started() as kernel:
        first, second = serials_of(kernel)
        rows = json.loads(await typed(kernel, "storage tape alias show --json"))[0]["aliases"]
        assert [(row["alias"], row["mapping"], row["physical_path"]) for row in rows[1:]] == [
            ("st0", f"SN[{first}]", "v.0"),
            ("st1", f"SN[{second}]", "v.1"),
        ]
        assert (rows[0]["alias"], rows[0]["physical_path"]) == ("mc0", "v.64")
        assert path_behind(kernel, "nrst1a") == "v.1"


@pytest.mark.requirement("R014")
@pytest.mark.requirement("R024")
@pytest.mark.requirement("R070")
async def test_an_alias_that_was_set_is_there_after_a_restart(started: Any) -> None:
    async with started() as kernel:
        _, second = serials_of(kernel)
        line = f"storage tape alias set -node Node1 -name st3 -mapping SN[{second}]"
        assert await typed(kernel, line) == (
            f"st3 is the alias of SN[{second}] (device v.1).\nIt replaces st1.\n"
        )
        changer = kernel.tape_inventory.changers()[0].description.serial
        await typed(kernel, f"storage tape alias set -node Node1 -name mc1 -mapping SN[{changer}]")
        assert path_behind(kernel, "nrst3a") == "v.1"
    async with started() as kernel:
        assert path_behind(kernel, "nrst3a") == "v.1"
        kernel.tape_inventory.open_changer("mc1", "test").close()
        for gone in ("nrst1a", "nrst03a"):
            with pytest.raises(TapeError, match="the drives are st0, st3"):
                path_behind(kernel, gone)


@pytest.mark.requirement("R014")
async def test_aliases_are_listed(started: Any) -> None:
    async with started() as kernel:
        await typed(kernel, "storage tape alias set -name st00 -mapping MY_SWITCH:5.3L2")
        listed = (await typed(kernel, "storage tape alias show -node Node1")).splitlines()
        width = max(len(line.split()[2]) for line in listed)
        assert listed[0].split() == ["Node", "Alias", "Mapping", "Attached", "At"]
        assert (
            listed[-1] == f"Node1  st1    SN[{serials_of(kernel)[1]}]".ljust(14 + width) + "  v.1"
        )
        assert f"Node1  st00   {'MY_SWITCH:5.3L2':<{width}}  -" in listed


@pytest.mark.requirement("R014")
@pytest.mark.requirement("R026")
@pytest.mark.requirement("R027")
async def test_a_cleared_device_is_reached_only_by_a_new_alias(started: Any) -> None:
    async with started() as kernel:
        first, _ = serials_of(kernel)
        cleared = await typed(kernel, "storage tape alias clear -node Node1 -clear-scope tape")
        assert cleared == "Cleared: st0, st1.\n"
    async with started() as kernel:
        with pytest.raises(TapeError, match="no drive has a name") as caught:
            path_behind(kernel, "nrst0a")
        assert caught.value.condition is Condition.NO_DEVICE
        assert "storage tape alias set" in caught.value.action
        assert [list(row.devices) for row in kernel.tape_inventory.drives()] == [[], []]
        assert kernel.tape_inventory.changers()[0].name == "mc0"
        await typed(kernel, f"storage tape alias set -name st5 -mapping sn[{first.lower()}]")
        assert path_behind(kernel, "nrst5a") == "v.0"


@pytest.mark.requirement("R026")
@pytest.mark.parametrize(
    ("options", "cleared"),
    [
        ("-clear-scope media-changer", "mc0"),
        ("-clear-scope all", "mc0, st0, st1"),
        ("-name st1", "st1"),
    ],
)
async def test_aliases_are_cleared_by_scope_or_by_name(
    started: Any, options: str, cleared: str
) -> None:
    async with started() as kernel:
        assert (
            await typed(kernel, f"storage tape alias clear {options}") == f"Cleared: {cleared}.\n"
        )
        if "st" in options:
            assert kernel.tape_inventory.changers() != []
        else:
            assert kernel.tape_inventory.changers() == []


async def test_clearing_what_is_clear_says_so(started: Any) -> None:
    async with started() as kernel:
        await typed(kernel, "storage tape alias clear -clear-scope all")
        answer = await typed(kernel, "storage tape alias clear -clear-scope all")
        assert answer == "Cleared: none.\n"


@pytest.mark.requirement("R073")
async def test_once_it_is_opened_a_device_is_named_by_its_physical_path(started: Any) -> None:
    async with started() as kernel:
        await typed(
            kernel, f"storage tape alias set -name st7 -mapping SN[{serials_of(kernel)[0]}]"
        )
        tape = kernel.tape_inventory.open("nrst7a", OpenMode.READ, "session 1")
        with pytest.raises(TapeError, match=r"^tape drive v\.0 is in use by session 1$"):
            kernel.tape_inventory.open("rst7a", OpenMode.READ, "session 2")
        tape.close()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("set -name nrst0a -mapping 8.6", "bad-alias"),
        ("set -name st3 -mapping 8", "bad-mapping"),
        ("set -name st1 -mapping v.0", "alias-taken"),
        ("set -name mc5 -mapping v.0", "wrong-kind"),
        ("set -node Node2 -name st3 -mapping v.0", "other-node"),
        ("clear -node Node2 -name st0", "other-node"),
        ("clear -name st5", "no-such-alias"),
        ("clear", "clear-what"),
        ("clear -name st0 -clear-scope tape", "clear-what"),
        ("show -node Node2", "other-node"),
    ],
)
async def test_what_cannot_be_done_changes_nothing(started: Any, line: str, error: str) -> None:
    async with started() as kernel:
        before = await typed(kernel, "storage tape alias show")
        with pytest.raises(TapekitError) as caught:
            await typed(kernel, f"storage tape alias {line}")
        assert caught.value.id == f"aliases.{error}"
        assert await typed(kernel, "storage tape alias show -node local") == before


async def test_changes_answer_in_json(started: Any) -> None:
    async with started() as kernel:
        change = json.loads(
            await typed(kernel, "storage tape alias set -name st4 -mapping v.1 --json")
        )
        assert change == {
            "set": {"alias": "st4", "mapping": "v.1", "physical_path": "v.1"},
            "cleared": ["st1"],
        }
        change = json.loads(await typed(kernel, "storage tape alias clear -name st4 --json"))
        assert change == {"set": None, "cleared": ["st4"]}
