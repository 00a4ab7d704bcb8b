from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.backup_site import BackupSite

from tapekit.errors import StartErrors, TapekitError
from tapekit.hookspecs.data_engine import Ability
from tapekit.hookspecs.volume_images import VolumeState
from tapekit.kernel import assemble, installed
from tapekit.testing import EngineTrial, check_data_engine
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import random_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requirement("R002")
def test_the_engine_is_offered_with_what_it_can_do(tmp_path: Path) -> None:
    site = BackupSite(tmp_path)
    assert site.engine.name == "smtape"
    assert site.engine.abilities & Ability.BACKUP_INCREMENTAL
    for lacking in (Ability.BACKUP_FH_DIR, Ability.RECOVER_FILELIST, Ability.RECOVER_DIRECT):
        assert not site.engine.abilities & lacking
    site.close()


def test_a_spool_directory_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text('plugins = ["smtape"]\n[smtape]\nspool_directory = "nowhere"\n')
    with pytest.raises(StartErrors, match="nowhere"):
        assemble(file, installed(), clock=lambda: 0.0)


def test_a_stack_without_volumes_is_told(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text('plugins = ["smtape"]\n')
    kernel = assemble(file, installed(), clock=lambda: 0.0)
    with pytest.raises(TapekitError) as caught:
        kernel.engines["smtape"].prepare_backup((("FILESYSTEM", "/a/b"),), "session 1")
    assert caught.value.id == "smtape.no-image-storage"


def test_the_engine_keeps_the_contract(tmp_path: Path) -> None:
    sites: list[BackupSite] = []

    def trial() -> EngineTrial:
        folder = tmp_path / str(len(sites))
        folder.mkdir()
        site = BackupSite(folder)
        sites.append(site)
        random_tree(site.source, 1)
        (site.source / "large").write_bytes(os.urandom(5 << 20))
        site.set_state(VolumeState.RESTRICTED, "/vs1/target")

        def compare() -> None:
            assert compare_trees(site.source, site.target, mtime_granularity_ns=1) == []

        return EngineTrial(
            engine=site.engine,
            backup=(("FILESYSTEM", "/vs1/source"),),
            recover=(("FILESYSTEM", "/vs1/target"),),
            selections=(),
            refused=(("FILESYSTEM", "/vs1/source"), ("VERBOSE", "perhaps")),
            compare=compare,
        )

    check_data_engine(trial)
    for site in sites:
        site.close()
