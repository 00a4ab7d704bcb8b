"""Drives and changers as drivers would describe them."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import DriveDescription


def described_drive(path: str, serial: str) -> DriveDescription:
    return DriveDescription(
        address=path,
        physical_path=path,
        vendor="ACME",
        product="TAPE",
        revision="1",
        serial=serial,
        formats={},
    )


def described_changer(path: str, serial: str) -> ChangerDescription:
    return ChangerDescription(
        address=path,
        physical_path=path,
        vendor="ACME",
        product="LIBRARY",
        revision="1",
        serial=serial,
    )


@pytest.fixture
def drive_of() -> object:
    """Describes a drive at a physical path, with a serial number."""
    return described_drive


@pytest.fixture
def changer_of() -> object:
    """Describes a changer at a physical path, with a serial number."""
    return described_changer
