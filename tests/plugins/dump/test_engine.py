"""What the engine refuses before any data moves."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import StartErrors, TapekitError
from tapekit.hookspecs.data_engine import Ability
from tapekit.hookspecs.environment import BadEnvironment
from tapekit.testing import MemoryServices, MemorySink
from tapekit_dump.plugin import DumpPlugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUEST = (("FILESYSTEM", "/vs1/vol1"),)


@pytest.mark.requirement("R002")
def test_engine_is_the_butype_dump(site: Any) -> None:
    assert site.engine.name == "dump"


def test_abilities_are_those_that_work_today(site: Any) -> None:
    assert site.engine.abilities == (
        Ability.RECOVER_FILELIST
        | Ability.BACKUP_INCREMENTAL
        | Ability.RECOVER_INCREMENTAL
        | Ability.BACKUP_DIRECT
        | Ability.RECOVER_DIRECT
        | Ability.BACKUP_UTF8
        | Ability.RECOVER_UTF8
        | Ability.BACKUP_FH_FILE
        | Ability.BACKUP_FH_DIR
    )


@pytest.mark.requirement("R124")
@pytest.mark.parametrize("pairs", [(), (("FILESYSTEM", ""),), (("FILESYSTEM", "//"),)])
def test_backup_needs_a_file_system(site: Any, pairs: Any) -> None:
    with pytest.raises(BadEnvironment, match="FILESYSTEM is missing") as refused:
        site.engine.prepare_backup(pairs, "a test")
    assert refused.value.id == "dump.filesystem-missing"


@pytest.mark.requirement("R127")
@pytest.mark.parametrize(
    ("name", "value"), [("LEVEL", "99"), ("BASE_DATE", "soon"), ("TYPE", "smtape")]
)
def test_bad_values_are_refused(site: Any, name: str, value: str) -> None:
    with pytest.raises(BadEnvironment, match=f"{name}={value}"):
        site.engine.prepare_backup((*REQUEST, (name, value)), "a test")
    with pytest.raises(BadEnvironment, match=f"{name}={value}"):
        site.engine.prepare_recover((*REQUEST, (name, value)), (), "a test")


def test_what_contradicts_itself_is_refused_before_a_tree_is_opened(site: Any) -> None:
    with pytest.raises(TapekitError, match="NDMP_UNICODE_FH=Y needs HIST=Y"):
        site.engine.prepare_backup((*REQUEST, ("NDMP_UNICODE_FH", "Y")), "a test")
    assert site.storage.trees == []


def test_stack_without_volumes_has_nothing_to_back_up(
    assembled: Callable[..., Any],
) -> None:
    engine = assembled(DumpPlugin).engines["dump"]
    with pytest.raises(TapekitError, match="No volumes are configured") as refused:
        engine.prepare_backup(REQUEST, "a test")
    assert refused.value.id == "dump.no-storage"


def test_tree_is_let_go_if_its_date_cannot_be_kept(site: Any) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    site.engine._dates._state.change = refuse
    with (
        closing(site.engine.prepare_backup(REQUEST, "a test")) as job,
        pytest.raises(TapekitError, match="disk full"),
    ):
        job.run(MemorySink(), MemoryServices())
    assert [tree.is_closed for tree in site.storage.trees] == [True]


@pytest.mark.requirement("R152")
@pytest.mark.parametrize(("update", "levels"), [("Y", [0]), ("N", [])])
def test_date_of_a_successful_backup_is_kept_if_wanted(
    site: Any, update: str, levels: list[int]
) -> None:
    site.back_up(("UPDATE", update))
    known = site.engine._dates.of("/vs1/vol1")
    assert known.last == 1_700_000_000
    assert [(level, dump.date) for level, dump in known.levels.items()] == [
        (level, 1_700_000_000) for level in levels
    ]


def test_spool_directory_must_exist(assembled: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(StartErrors, match=r"spool directory .*missing does not exist"):
        assembled(DumpPlugin, tables='[dump]\nspool_directory = "missing"\n')


def test_spool_directory_starts_at_the_stack_file(
    make_site: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "spool").mkdir()
    table = '[dump]\nspool_directory = "spool"\nspool_memory_bytes = 65536\n'
    site = make_site(table)
    for number in range(2000):
        (site.volume / f"{number:0100d}").touch()
    full = site.back_up()
    assert len(full.paths) == 2001
    (tmp_path / "spool").rmdir()
    with pytest.raises(TapekitError, match="spool cannot be used: No such file") as failed:
        site.back_up()
    assert failed.value.id == "dump.spool-failed"
