"""What jobs are told that meet a movement."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.movements import HaPolicy, JobKind, VolumeJob
from tapekit_cluster.movement_operations import Movement, MovementKind
from tapekit_cluster.movement_texts import abort_of, refusal_of


def job(engine: str, kind: JobKind = JobKind.BACKUP) -> VolumeJob:
    return VolumeJob(
        number=1, volumes=("/v/a",), engine=engine, kind=kind, holder="session 1", began_s=0.0
    )


def movement(kind: MovementKind) -> Movement:
    return Movement(kind=kind, node="n1", aggregates=("aggr1",), began_s=0.0)


@pytest.mark.parametrize(
    ("kind", "policy", "text"),
    [
        (MovementKind.TAKEOVER, HaPolicy.SFO, "Transfer failed (SFO initiated abort)"),
        (MovementKind.GIVEBACK, HaPolicy.SFO, "Transfer failed (SFO initiated abort)"),
        (MovementKind.TAKEOVER, HaPolicy.CFO, "Transfer failed (CFO initiated abort)"),
        (MovementKind.RELOCATION, HaPolicy.CFO, "Transfer failed (ARL initiated abort)"),
        (
            MovementKind.SWITCHOVER,
            HaPolicy.SFO,
            "Transfer failed (Aborted due to MetroCluster operation)",
        ),
    ],
)
def test_smtape_is_aborted_in_the_words_of_the_guide(
    kind: MovementKind, policy: HaPolicy, text: str
) -> None:
    assert str(abort_of(job("smtape"), movement(kind), policy).error) == text


@pytest.mark.parametrize("kind", MovementKind)
def test_other_engines_are_told_which_movement_it_was(kind: MovementKind) -> None:
    aborted = abort_of(job("dump", JobKind.RESTORE), movement(kind), HaPolicy.SFO)
    assert str(aborted.error) == f"/v/a: the dump restore is aborted by the {kind.value}"
    assert aborted.may_restart is kind.value.startswith("MetroCluster")
    refused = refusal_of(job("dump"), movement(kind))
    assert str(refused) == f"/v/a: no dump backup begins during the {kind.value}"


@pytest.mark.parametrize("kind", [MovementKind.GIVEBACK, MovementKind.RELOCATION])
def test_smtape_begins_on_no_aggregate_that_is_under_migration(kind: MovementKind) -> None:
    assert str(refusal_of(job("smtape"), movement(kind))) == "Underlying aggregate under migration"
