"""Targets that a portal of tgt offers are found, asked with a password if it wants one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.tape_driver import TapeError
from tapekit_scsi_iscsi.discovery import Offer
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings
from tgt_library import INITIATOR, NAME, barcode, tgt_library, tgt_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tgt_library import TgtLibrary

SECOND = "iqn.2026-11.net.example:annex"
PASSWORD = "a-long-secret"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[TgtLibrary]:
    with tgt_library(tmp_path / "library") as serving:
        yield serving


def portal(library: TgtLibrary) -> str:
    return f"127.0.0.1:{library.port}"


def driver_for(library: TgtLibrary, **settings: object) -> ScsiIscsiDriver:
    made = ScsiIscsiSettings(initiator=INITIATOR, portals=(portal(library),), **settings)  # type: ignore[arg-type] # as given
    driver = ScsiIscsiDriver(made)
    driver.settle(library.directory)
    return driver


def add_target(library: TgtLibrary) -> None:
    """A second target with a drive."""
    target = ("--tid", "2")
    library.admin("--mode", "target", "--op", "new", *target, "--targetname", SECOND)
    image = str(library.directory / barcode(1031))
    unit = ("--mode", "logicalunit", "--op", "new", *target, "--lun", "1")
    library.admin(*unit, "--device-type", "tape", "--bstype", "ssc", "--backing-store", image)
    library.admin("--mode", "target", "--op", "bind", *target, "--initiator-address", "ALL")


@pytest.mark.requirement("R042")
def test_targets_are_found_and_those_that_come_later(library: TgtLibrary) -> None:
    driver = driver_for(library)
    assert driver.offers(portal(library)) == [Offer(NAME, (portal(library),))]
    assert [found.physical_path for found in driver.discover()] == ["i.0L1", "i.0L2"]
    assert [found.physical_path for found in driver.discover_changers()] == ["i.0L3"]
    add_target(library)
    assert [found.physical_path for found in driver.discover()] == ["i.0L1", "i.0L2", "i.1L1"]
    driver.open_changer("LIB0001@0.3").close()
    by_name = f"localhost:{library.port}"
    assert {offer.portals for offer in driver.offers(by_name)} == {(by_name,)}


def test_a_portal_without_targets_for_this_host_has_none(library: TgtLibrary) -> None:
    bind = ("--mode", "target", "--op", "unbind", "--tid", "1", "--initiator-address", "ALL")
    library.admin(*bind)
    driver = driver_for(library)
    assert (driver.offers(portal(library)), driver.discover()) == ([], [])
    library.kill()
    with pytest.raises(TapeError, match="Cannot ask the iSCSI portal"):
        driver_for(library).discover()


def test_a_portal_that_asks_for_a_password_gets_it(library: TgtLibrary) -> None:
    account = ("--mode", "account", "--user", "storage1")
    library.admin(*account, "--op", "new", "--password", PASSWORD)
    library.admin(*account, "--op", "bind")
    with pytest.raises(TapeError, match="Cannot ask the iSCSI portal"):
        driver_for(library).discover()
    file = library.directory / "credentials.toml"
    for password, is_right in (("a-wrong-secret", False), (PASSWORD, True)):
        file.write_text(f'["{portal(library)}"]\nuser = "storage1"\npassword = "{password}"\n')
        file.chmod(0o600)
        driver = driver_for(library, credentials=file.name)
        if is_right:
            assert [found.physical_path for found in driver.discover()] == ["i.0L1", "i.0L2"]
        else:
            with pytest.raises(TapeError) as refused:
                driver.discover()
            assert password not in str(refused.value)


def test_a_stack_uses_and_lists_what_its_portal_offers(library: TgtLibrary, tmp_path: Path) -> None:
    with tgt_stack(library, tmp_path / "stack", f'portals = ["{portal(library)}"]') as stack:
        shown = json.loads(stack.tapekit("tape", "changers", str(stack.file), "--json"))
        assert [(row["name"], row["description"]["serial"]) for row in shown] == [
            ("mc0", "LIB0001")
        ]
        listed = json.loads(stack.tapekit("iscsi", "targets", str(stack.file), "--json"))
    (row,) = listed
    assert row == {
        "portal": portal(library),
        "target": NAME,
        "reached_at": [portal(library)],
        "used_by": "portals",
    }
