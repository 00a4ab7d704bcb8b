"""``tapekit iscsi targets``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tapekit.hookspecs.tape_driver import TapeError
from tapekit_scsi_iscsi.commands import command_app
from tapekit_scsi_iscsi.discovery import Offer
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.library import LibraryFailure
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.testing import Result

    from tapekit_scsi_iscsi.library import Login

X, Y = "iqn.2026-11.x:x", "iqn.2026-11.x:y"
PORTAL = "10.0.0.7:3260"
OFFERS = {
    PORTAL: [Offer(Y, (PORTAL, "10.0.0.8:3260")), Offer(X, (PORTAL,))],
    "10.0.0.9:3261": [Offer(Y, ())],
}


def ask(login: Login) -> Sequence[Offer]:
    assert not login.target.name
    if login.target.portal not in OFFERS:
        raise LibraryFailure("no route to host")
    return OFFERS[login.target.portal]


def run(*arguments: str, portals: tuple[str, ...] = ("10.0.0.7",)) -> Result:
    settings = ScsiIscsiSettings(
        initiator="iqn.2026-11.x:me", targets=(f"iscsi://10.0.0.9/{X}",), portals=portals
    )
    app = command_app(settings, ScsiIscsiDriver(settings, ask=ask).offers)
    return CliRunner().invoke(app, ["targets", *arguments])


def test_the_targets_of_the_portals_are_listed() -> None:
    done = run()
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        [PORTAL, X, PORTAL, "targets"],
        [PORTAL, Y, f"{PORTAL},", "10.0.0.8:3260", "portals"],
    ]


def test_another_portal_is_asked_if_so_told() -> None:
    done = run("--portal", "10.0.0.9:3261", "--json")
    assert json.loads(done.stdout) == [
        {"portal": "10.0.0.9:3261", "target": Y, "reached_at": [], "used_by": None}
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "the stack file has no portals"), (("--portal", "a/b"), "a/b is no portal")],
)
def test_without_a_portal_nothing_is_asked(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments, portals=())
    assert done.exit_code == 2
    assert words in done.output


def test_a_portal_that_does_not_answer_is_an_error() -> None:
    done = run("--portal", "10.0.0.1")
    assert isinstance(done.exception, TapeError)
    assert "Cannot ask the iSCSI portal 10.0.0.1:3260" in str(done.exception)
