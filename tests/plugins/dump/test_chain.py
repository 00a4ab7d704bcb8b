"""Where backups stand in their chains, by levels and by tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.environment import BadEnvironment, Environment
from tapekit_dump.chain import HIGHEST_LEVEL, ChainStep, chain_step
from tapekit_dump.variables import VARIABLES

if TYPE_CHECKING:
    from pathlib import Path

DATE = 1_700_000_000


def step(*pairs: tuple[str, str]) -> ChainStep:
    return chain_step(Environment(VARIABLES, pairs))


@pytest.mark.requirement("R238")
@pytest.mark.parametrize("level", [0, 1, 31])
def test_levels_go_by_dates(level: int) -> None:
    found = step(("LEVEL", str(level)))
    assert found == ChainStep(level, None, is_kept=True)
    assert found.dump_date(DATE) is None


@pytest.mark.requirement("R152")
def test_without_update_nothing_is_kept() -> None:
    assert not step(("UPDATE", "N")).is_remembered
    assert step(("UPDATE", "Y")).is_remembered


@pytest.mark.requirement("R133")
@pytest.mark.requirement("R164")
def test_each_dump_date_is_the_base_date_of_a_level_more() -> None:
    found = step(("BASE_DATE", "0"))
    assert found == ChainStep(0, 0, is_kept=False)
    for level in range(1, HIGHEST_LEVEL + 1):
        token = found.dump_date(DATE + level)
        assert token == level << 32 | DATE + level
        found = step(("BASE_DATE", str(token)))
        assert found == ChainStep(level, DATE + level, is_kept=False)
        assert found.is_remembered


@pytest.mark.parametrize(
    ("pairs", "row"),
    [
        ([("BASE_DATE", "77")], "base-date-unusable"),
        ([("BASE_DATE", str(1 << 32))], "base-date-unusable"),
        ([("BASE_DATE", str(32 << 32 | DATE))], "token-chain-too-long"),
        ([("BASE_DATE", "0"), ("LEVEL", "1")], "token-chain-begins-at-zero"),
    ],
)
def test_what_is_no_dump_date_is_refused(pairs: Any, row: str) -> None:
    with pytest.raises(BadEnvironment) as refused:
        step(*pairs)
    assert refused.value.id == f"dump.{row}"


@pytest.mark.requirement("R004")
@pytest.mark.requirement("R130")
@pytest.mark.requirement("R164")
def test_a_chain_of_tokens_has_what_changed_since_the_one_before(epochs: Any) -> None:
    token, found = "0", []
    tokens = []
    for number in range(4):
        (epochs.volume / f"file{number}").touch()
        backup = epochs.back_up(("BASE_DATE", token))
        found.append(backup.dumped - {b""})
        token = backup.environment["DUMP_DATE"]
        tokens.append(token)
    assert found == [{b"file0"}, {b"file1"}, {b"file2"}, {b"file3"}]
    again = epochs.back_up(("BASE_DATE", tokens[1]))
    assert again.dumped == {b"", b"file2", b"file3"}
    header = again.records[0].header
    assert (header.level, header.base_date) == (2, int(tokens[1]) & 0xFFFF_FFFF)


def test_tokens_and_levels_do_not_meet(epochs: Any) -> None:
    (epochs.volume / "first").touch()
    epochs.back_up()
    (epochs.volume / "second").touch()
    token = epochs.back_up(("BASE_DATE", "0")).environment["DUMP_DATE"]
    (epochs.volume / "third").touch()
    epochs.back_up(("LEVEL", "5"))
    assert epochs.back_up(("LEVEL", "1")).dumped == {b"", b"second", b"third"}
    assert epochs.back_up(("BASE_DATE", token)).dumped == {b"", b"third"}


def test_a_backup_without_update_is_nobodys_base(epochs: Any) -> None:
    epochs.back_up()
    (epochs.volume / "file").touch()
    epochs.back_up(("LEVEL", "1"), ("UPDATE", "N"))
    assert epochs.back_up(("LEVEL", "2")).dumped == {b"", b"file"}


@pytest.mark.parametrize("variable", [("LEVEL", "3"), ("BASE_DATE", str(1 << 32 | DATE))])
def test_without_a_base_a_backup_is_a_full_one(epochs: Any, variable: tuple[str, str]) -> None:
    (epochs.volume / "file").touch()
    backup = epochs.back_up(variable)
    assert backup.dumped == {b"", b"file"}
    header = backup.records[0].header
    assert (header.level, header.base_date) == (0, 0)
    (warning,) = backup.warnings
    assert warning.startswith("/vs1/vol1: no backup of a level below ")
    assert epochs.events[-1].facts["level"] == 0


def test_a_backup_that_became_full_is_the_base_of_level_1(epochs: Any) -> None:
    epochs.back_up(("LEVEL", "3"))
    (epochs.volume / "file").touch()
    assert epochs.back_up(("LEVEL", "1")).dumped == {b"", b"file"}


def test_parts_of_a_volume_have_chains_of_their_own(epochs: Any) -> None:
    (epochs.volume / "part").mkdir()
    (epochs.volume / "part/file").touch()
    epochs.back_up()
    part = epochs.back_up(("FILESYSTEM", "/vs1/vol1/part"), ("LEVEL", "1"))
    assert part.dumped == {b"", b"file"}
    assert "no backup of a level below 1" in part.warnings[0]


@pytest.mark.requirement("R132")
def test_named_backups_have_chains_of_their_own(epochs: Any) -> None:
    (epochs.volume / "file").touch()
    epochs.back_up()
    named = epochs.back_up(("DMP_NAME", "nightly"), ("LEVEL", "1"))
    assert named.dumped == {b"", b"file"}
    again = epochs.back_up(("DMP_NAME", "nightly"), ("LEVEL", "1"))
    assert again.dumped == {b""}
    assert again.records[0].header.filesystem == b"/vs1/vol1"


def test_an_older_snapshot_copy_does_not_hide_what_came_after_it(epochs: Any) -> None:
    older = epochs.storage.open_backup("/vs1/vol1", "a test", lambda: None)
    (epochs.volume / "file").touch()
    epochs.back_up()
    open_now = epochs.storage.open_backup
    epochs.storage.open_backup = lambda *_, **_may: older
    (epochs.volume / "later").touch()
    dated = epochs.back_up(("UPDATE", "Y")).records[0].header.date
    assert dated > older.taken_at_s
    epochs.storage.open_backup = open_now
    level1 = epochs.back_up(("LEVEL", "1"))
    assert level1.records[0].header.base_date == dated
    assert level1.dumped >= {b"file", b"later"}


def test_nothing_is_remembered_of_a_backup_that_failed(epochs: Any, tmp_path: Path) -> None:
    from tapekit.segments import ConnectionBroken
    from tapekit.testing import FailingSink

    (epochs.volume / "file").write_bytes(b"x" * 100_000)
    with pytest.raises(ConnectionBroken):
        epochs.back_up(sink=FailingSink(20_000))
    known = epochs.engine._dates.of("/vs1/vol1")
    assert (known.levels, known.written) == ({}, {})
