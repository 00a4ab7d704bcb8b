"""The catalogue keeps what it was told, and excludes runs on one set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_dma.catalogue import open_catalogue
from tapekit_dma.records import Backup, Cartridge, Part, State

if TYPE_CHECKING:
    from pathlib import Path

PLANNED = Backup(
    media_set="weekly",
    server="filer",
    path="/vs1/vol1",
    butype="dump",
    level=0,
    started_at=1.0,
    record_size=65536,
)
CARTRIDGE = Cartridge(barcode="A1", media_set="weekly", label="x")
PART = Part(barcode="A1", label="x", file=1, offset=0)


def test_a_run_that_did_not_end_has_failed(tmp_path: Path) -> None:
    with open_catalogue(tmp_path / "new") as catalogue:
        begun = catalogue.begin(PLANNED)
        catalogue.keep(CARTRIDGE)
        catalogue.add_part(begun.number, PART)
        assert catalogue.backup(begun.number).state is State.RUNNING
    with open_catalogue(tmp_path / "new") as catalogue:
        with catalogue.exclusively("weekly"):
            assert catalogue.backup(begun.number).state is State.FAILED
        assert catalogue.on("A1") == [(begun.number, PART)]
        assert catalogue.cartridges() == {"A1": CARTRIDGE}


def test_two_runs_on_one_set_exclude_each_other(tmp_path: Path) -> None:
    with open_catalogue(tmp_path) as one, open_catalogue(tmp_path) as other:
        with one.exclusively("weekly"):
            with pytest.raises(TapekitError, match="another run"), other.exclusively("weekly"):
                pass
            with other.exclusively("monthly"):
                pass
        with other.exclusively("weekly"):
            pass


def test_two_runs_on_one_drive_exclude_each_other(tmp_path: Path) -> None:
    with open_catalogue(tmp_path) as one, open_catalogue(tmp_path) as other:
        with one.alone_at("filer", "/dev/nst0"):
            with (
                pytest.raises(TapekitError, match="another run uses drive /dev/nst0 of filer"),
                other.alone_at("filer", "/dev/nst0"),
            ):
                pass
            with other.alone_at("filer", "/dev/nst1"):
                pass
        with other.alone_at("filer", "/dev/nst0"):
            pass


def test_forgetting_a_backup_forgets_its_parts_and_its_index(tmp_path: Path) -> None:
    with open_catalogue(tmp_path) as catalogue:
        begun = catalogue.begin(PLANNED)
        catalogue.add_part(begun.number, PART)
        catalogue.index_of(begun.number).touch()
        catalogue.keep(CARTRIDGE, without=(begun.number,))
        assert catalogue.backups() == []
        assert catalogue.on("A1") == []
        assert not catalogue.index_of(begun.number).exists()
        with pytest.raises(TapekitError, match="there is no backup 1"):
            catalogue.backup(begun.number)
        assert catalogue.begin(PLANNED).number > begun.number


def test_what_is_known_is_not_taken_in_again(tmp_path: Path) -> None:
    with open_catalogue(tmp_path) as catalogue:
        begun = catalogue.begin(PLANNED)
        catalogue.keep(CARTRIDGE)
        with pytest.raises(TapekitError, match="backup 1, A1"):
            catalogue.take_in([(begun, [PART])], [CARTRIDGE])


def test_another_format_and_other_bytes_are_refused(tmp_path: Path) -> None:
    import sqlite3

    with open_catalogue(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 77")
    connection.close()
    with pytest.raises(TapekitError, match="format 77"), open_catalogue(tmp_path):
        pass
    (tmp_path / "catalogue.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(TapekitError, match="cannot be used"), open_catalogue(tmp_path):
        pass
