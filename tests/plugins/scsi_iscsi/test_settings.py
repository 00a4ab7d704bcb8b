"""What is wrong with targets and names is said when the stack file is read."""

from __future__ import annotations

import msgspec
import pytest

from tapekit_scsi_iscsi.settings import (
    ScsiIscsiSettings,
    Target,
    parse_portal,
    parse_target,
)

INITIATOR = "iqn.2026-11.net.example:host"
URL = "iscsi://10.0.0.7/iqn.2026-11.net.example:tapes"


@pytest.mark.parametrize(
    ("text", "portal"),
    [
        (URL, "10.0.0.7:3260"),
        ("iscsi://tapes.example.net:3261/iqn.2026-11.net.example:tapes", "tapes.example.net:3261"),
        ("iscsi://[fd00::7]/iqn.2026-11.net.example:tapes", "[fd00::7]:3260"),
    ],
)
def test_a_target_is_a_portal_and_a_name(text: str, portal: str) -> None:
    assert parse_target(text) == Target(portal, "iqn.2026-11.net.example:tapes")


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.7",
        "iscsi://10.0.0.7",
        "iscsi://10.0.0.7/tapes",
        "iscsi://10.0.0.7/iqn.2026-11.net.example:tapes/1",
        "iscsi://user%secret@10.0.0.7/iqn.2026-11.net.example:tapes",
        "iscsi://10.0.0.7:0/iqn.2026-11.net.example:tapes",
        "iscsi://10.0.0.7:70000/iqn.2026-11.net.example:tapes",
        "iscsi://10.0.0.7/iqn.2026-11.net.example:" + "x" * 223,
    ],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    settings = {"initiator": INITIATOR, "targets": [URL, text]}
    with pytest.raises(msgspec.ValidationError, match="targets: "):
        msgspec.convert(settings, ScsiIscsiSettings)


@pytest.mark.parametrize("again", [URL, URL.replace("10.0.0.7", "10.0.0.7:3260")])
def test_a_target_is_there_once(again: str) -> None:
    with pytest.raises(ValueError, match="is there twice"):
        ScsiIscsiSettings(initiator=INITIATOR, targets=(URL, again))


@pytest.mark.parametrize("name", ["", "storage1", "iqn.net.example:host", "iqn.2026-11.x:a b"])
def test_an_initiator_has_an_iscsi_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no iSCSI name"):
        ScsiIscsiSettings(initiator=name, targets=(URL,))


@pytest.mark.parametrize(
    ("text", "portal"),
    [("10.0.0.7", "10.0.0.7:3260"), ("tapes.x:3261", "tapes.x:3261"), ("[::1]", "[::1]:3260")],
)
def test_a_portal_is_a_host_and_a_port(text: str, portal: str) -> None:
    assert parse_portal(text) == portal


@pytest.mark.parametrize("text", ["", "10.0.0.7/x", "iscsi://10.0.0.7", "x:0", "x:70000", "::1"])
def test_what_is_no_portal_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="portals: "):
        msgspec.convert({"initiator": INITIATOR, "portals": [text]}, ScsiIscsiSettings)


def test_a_portal_is_there_once() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.7:3260 is there twice"):
        ScsiIscsiSettings(initiator=INITIATOR, portals=("10.0.0.7", "10.0.0.7:3260"))


def test_a_library_is_named_somehow() -> None:
    with pytest.raises(ValueError, match="one of them must name a library"):
        ScsiIscsiSettings(initiator=INITIATOR)
