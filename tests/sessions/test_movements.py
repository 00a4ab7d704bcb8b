"""Movements of storage, and the backups and restores that they meet."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
from movement_stack import (
    BACK,
    OTHER,
    ROOT,
    SOURCE,
    backup,
    movement_stack,
    restrict,
    storage_of,
    typed,
    waiting_backup,
    waiting_restore,
)

from tapekit.errors import TapekitError
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.operations import OperationRefused
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import DataHaltReason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from movement_stack import Heard

    from session_stack import ServedStack

ENGINES = ("dump", "smtape")
OVERRIDE = "-override-vetoes true"


class Way(NamedTuple):
    """A movement, in commands and in what jobs are told."""

    begin: str
    group: str
    name: str
    smtape_aborted: str
    smtape_refused: str = "Underlying aggregate under migration"

    def aborted(self, engine: str, kind: str = "backup", volume: str = SOURCE) -> str:
        if engine == "smtape":
            return self.smtape_aborted
        return f"{volume}: the dump {kind} is aborted by the {self.name}"

    def refused(self, engine: str) -> str:
        if engine == "smtape":
            return self.smtape_refused
        return f"{SOURCE}: no dump backup begins during the {self.name}"


_BY_SITE = "Transfer failed (Aborted due to MetroCluster operation)"
_BY_SFO = "Transfer failed (SFO initiated abort)"
TAKEOVER, GIVEBACK, RELOCATION, SWITCHOVER, SWITCHBACK = (
    Way(
        "storage failover takeover -ofnode n1",
        "storage failover",
        "storage failover takeover",
        _BY_SFO,
    ),
    Way(
        "storage failover giveback -ofnode n1",
        "storage failover",
        "storage failover giveback",
        _BY_SFO,
    ),
    Way(
        "storage aggregate relocation start -node n1 -destination n2 -aggregate-list aggr1",
        "storage aggregate relocation",
        "aggregate relocation",
        "Transfer failed (ARL initiated abort)",
    ),
    Way("metrocluster switchover", "metrocluster", "MetroCluster switchover", _BY_SITE, _BY_SITE),
    Way("metrocluster switchback", "metrocluster", "MetroCluster switchback", _BY_SITE, _BY_SITE),
)
WAYS = (TAKEOVER, GIVEBACK, RELOCATION, SWITCHOVER, SWITCHBACK)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    async with movement_stack(tmp_path / "site") as served:
        yield served


async def refusal(stack: ServedStack, engine: str, volume: str = SOURCE) -> str:
    """Why a backup does not begin."""
    told: list[str] = []
    with pytest.raises(NdmpReplyError):
        await backup(stack, engine, volume, told=told)
    return told[-1]


async def vetoed(stack: ServedStack, line: str) -> str:
    with pytest.raises(OperationRefused) as caught:
        await typed(stack, line)
    assert caught.value.id == "cluster.movement-vetoed"
    return str(caught.value)


@pytest.mark.requirement("R267")
@pytest.mark.requirement("R277")
@pytest.mark.requirement("R295")
@pytest.mark.requirement("R300")
@pytest.mark.parametrize("engine", ENGINES)
async def test_movements_are_stopped_by_a_backup_which_goes_on(
    stack: ServedStack, engine: str
) -> None:
    async with waiting_backup(stack, engine) as heard:
        for way in WAYS:
            told = await vetoed(stack, f"{way.begin} -override-vetoes false")
            assert told.startswith(f"the {way.name} is stopped, because jobs are running: session")
            assert f", {engine} backup of {SOURCE}" in told
        assert f"Running: session 1, {engine} backup of {SOURCE}" in await typed(
            stack, "storage failover show"
        )
        assert await heard.go_on() is DataHaltReason.SUCCESSFUL
    for way in (TAKEOVER, RELOCATION, SWITCHOVER):
        assert f"The {way.name}" in await typed(stack, way.begin)
        assert (await typed(stack, f"{way.group} abandon")).endswith("is abandoned.\n")
    await backup(stack, engine)


@pytest.mark.requirement("R267")
@pytest.mark.requirement("R277")
@pytest.mark.requirement("R278")
@pytest.mark.requirement("R295")
@pytest.mark.requirement("R300")
@pytest.mark.requirement("R373")
@pytest.mark.requirement("R374")
@pytest.mark.requirement("R376")
@pytest.mark.requirement("R377")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_a_movement_that_overrides_vetoes_aborts_backups_and_lets_none_begin(
    stack: ServedStack, way: Way, engine: str
) -> None:
    async with waiting_backup(stack, engine) as heard:
        told = await typed(stack, f"{way.begin} {OVERRIDE}")
        assert f"Aborted: session 1, {engine} backup of {SOURCE}\n" in told
        assert storage_of(stack).snapshot_names(SOURCE) == [], "nothing of the volume is held"
        assert await heard.data_halted() is DataHaltReason.INTERNAL_ERROR
        assert heard.lines[-1].startswith(way.aborted(engine))
    assert (await refusal(stack, engine)).startswith(way.refused(engine))
    shown = json.loads(await typed(stack, f"{way.group} show --json"))
    (on,) = shown["movements"]
    assert on["kind"] == way.name
    assert on["overrides"]
    assert f"The {way.name} is complete." in await typed(stack, f"{way.group} complete")
    if way is RELOCATION:
        assert (await refusal(stack, engine)).startswith("the aggregate aggr1 is at n2")
    else:
        await backup(stack, engine)


@pytest.mark.parametrize(
    ("engine", "more"), [("dump", ()), ("smtape", (("SMTAPE_DELETE_SNAPSHOT", "Y"),))]
)
async def test_a_job_lets_go_of_its_volume_before_its_session_stops_it(
    stack: ServedStack, engine: str, more: tuple[tuple[str, str], ...]
) -> None:
    async with waiting_backup(stack, engine, SOURCE, *more) as heard:
        assert await heard.go_on() is DataHaltReason.SUCCESSFUL
        assert stack.kernel.volume_jobs.running() == []
        assert storage_of(stack).snapshot_names(SOURCE) == []
        await typed(stack, TAKEOVER.begin)


@pytest.mark.requirement("R375")
async def test_the_aggregate_of_the_root_volume_fails_over_with_its_node(tmp_path: Path) -> None:
    text = "Transfer failed (CFO initiated abort)"
    async with (
        movement_stack(tmp_path / "site") as stack,
        waiting_backup(stack, "smtape", ROOT) as heard,
    ):
        await typed(stack, f"{TAKEOVER.begin} {OVERRIDE}")
        await heard.data_halted()
        assert heard.lines[-1].startswith(text)
    log = (tmp_path / "site" / "log" / "backup").read_text()
    assert f" {ROOT}(0) Error ({text})\n" in log


@pytest.mark.requirement("R267")
@pytest.mark.requirement("R295")
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_restore_stops_movements_and_is_aborted_by_them(
    stack: ServedStack, engine: str
) -> None:
    made = await backup(stack, engine)
    volume, kind = (OTHER, "restore") if engine == "dump" else (BACK, "baseline restore")
    if engine == "smtape":
        await restrict(stack)
    async with waiting_restore(stack, engine, made, volume) as heard:
        assert f"{engine} {kind} of {volume}" in await vetoed(stack, TAKEOVER.begin)
        told = await typed(stack, f"{TAKEOVER.begin} {OVERRIDE}")
        assert f"Aborted: session 2, {engine} {kind} of {volume}\n" in told
        assert await heard.data_halted() is DataHaltReason.INTERNAL_ERROR
        assert any(line.startswith(TAKEOVER.aborted(engine, kind, volume)) for line in heard.lines)


@pytest.mark.requirement("R268")
@pytest.mark.parametrize("way", [TAKEOVER, RELOCATION], ids=lambda way: way.name)
async def test_the_systems_own_movement_aborts_dumps_and_their_restarts(
    stack: ServedStack, way: Way
) -> None:
    more = (("HIST", "Y"), ("RESTARTABLE", "Y"))
    async with restartable_session(stack, way, *more) as (heard, context):
        told = await typed(stack, f"{way.begin} --automatic")
        assert f"Aborted: session 1, dump backup of {SOURCE}\n" in told
        assert await heard.data_halted() is DataHaltReason.INTERNAL_ERROR
        assert heard.lines[-1].startswith(way.aborted("dump"))
    await typed(stack, f"{way.group} abandon")
    shown = await typed(stack, "vserver services ndmp restartable-backup show")
    assert shown.splitlines()[-1] == "0 entries were displayed."
    told = await restart_refusal(stack, context)
    assert told.startswith(f"There is no restartable context {context}")
    assert storage_of(stack).snapshot_names(SOURCE) == []


@pytest.mark.requirement("R277")
async def test_a_dump_that_a_switchover_aborted_can_be_restarted(stack: ServedStack) -> None:
    more = (("HIST", "Y"), ("RESTARTABLE", "Y"))
    async with restartable_session(stack, SWITCHOVER, *more) as (heard, _):
        await typed(stack, f"{SWITCHOVER.begin} {OVERRIDE}")
        await heard.data_halted()
    shown = await typed(stack, "vserver services ndmp restartable-backup show")
    assert shown.splitlines()[-1] == "1 entry was displayed."


@asynccontextmanager
async def restartable_session(
    stack: ServedStack, way: Way, *more: tuple[str, str]
) -> AsyncIterator[tuple[Heard, str]]:
    """A restartable backup that waits, with the identifier of its context."""
    async with waiting_backup(stack, "dump", SOURCE, *more) as heard:
        assert way.name
        env = (await heard.client.call(m.DataGetEnvRequest())).env
        yield heard, next(pair.value for pair in env if pair.name == "RESTART_CONTEXT")


async def restart_refusal(stack: ServedStack, context: str) -> str:
    more = (("HIST", "Y"), ("RESTART_CONTEXT", context))
    told: list[str] = []
    with pytest.raises(NdmpReplyError):
        await backup(stack, "dump", more=more, told=told)
    return told[-1]


async def test_a_movement_that_was_on_when_the_server_ended_keeps_jobs_out(
    tmp_path: Path,
) -> None:
    async with movement_stack(tmp_path / "site") as stack:
        await typed(stack, TAKEOVER.begin)
    async with movement_stack(tmp_path / "site") as stack:
        assert (await refusal(stack, "smtape")).startswith(TAKEOVER.smtape_refused)
        assert "The storage failover takeover of n1 is on since" in await typed(
            stack, "storage failover show"
        )
        await typed(stack, "storage failover complete")
        await backup(stack, "smtape")
    async with movement_stack(tmp_path / "site") as stack:
        await backup(stack, "dump")


async def test_a_relocation_concerns_its_aggregates_alone_and_comes_back(
    tmp_path: Path,
) -> None:
    async with (
        movement_stack(tmp_path / "site") as stack,
        waiting_backup(stack, "dump", OTHER) as heard,
    ):
        await typed(stack, RELOCATION.begin)
        await typed(stack, "storage aggregate relocation complete")
        assert await heard.go_on() is DataHaltReason.SUCCESSFUL
    async with movement_stack(tmp_path / "site") as stack:
        shown = json.loads(await typed(stack, "storage aggregate relocation show --json"))
        places = {row["name"]: row["node"] for row in shown["aggregates"]}
        assert places == {"aggr0": "n1", "aggr1": "n2", "aggr2": "n1"}
        assert (await refusal(stack, "dump")).startswith("the aggregate aggr1 is at n2")
        await typed(
            stack, "storage aggregate relocation start -node n2 -destination n1 -aggregate-list *"
        )
        await typed(stack, "storage aggregate relocation complete")
        await backup(stack, "dump")


async def test_a_command_fails_while_an_aborted_job_does_not_end(stack: ServedStack) -> None:
    stay = stack.kernel.volume_jobs.enter(
        volumes=(SOURCE,), engine="dump", kind=JobKind.BACKUP, holder="the test"
    )
    line = f"{TAKEOVER.begin} {OVERRIDE} --wait 0"
    with pytest.raises(OperationRefused, match="have not ended within 0 s: the test, dump"):
        await typed(stack, line)
    assert "is on since" in await typed(stack, "storage failover show")
    stay.leave()
    assert "is on since" in await typed(stack, line)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("storage failover complete", "no-movement"),
        ("metrocluster abandon", "no-movement"),
        ("storage failover takeover -ofnode n7", "nothing-of-node"),
        (f"{RELOCATION.begin},aggr7", "no-such-aggregate"),
        (RELOCATION.begin.replace("n1", "n3"), "relocation-elsewhere"),
        (RELOCATION.begin.replace("n2", "n1"), "relocation-elsewhere"),
        (
            "storage aggregate relocation start -node n2 -destination n1 -aggregate-list aggr1",
            "aggregate-elsewhere",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(stack: ServedStack, line: str, row: str) -> None:
    with pytest.raises(TapekitError) as caught:
        await typed(stack, line)
    assert caught.value.id == f"cluster.{row}"


async def test_there_is_one_movement_of_a_kind_which_may_be_asked_for_again(
    stack: ServedStack,
) -> None:
    await typed(stack, TAKEOVER.begin)
    await typed(stack, f"{TAKEOVER.begin} {OVERRIDE}")
    with pytest.raises(TapekitError, match="takeover of aggr0, aggr1, aggr2 is on already"):
        await typed(stack, GIVEBACK.begin)
    await typed(stack, SWITCHOVER.begin)
