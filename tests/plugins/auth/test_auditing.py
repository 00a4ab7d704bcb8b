"""Changes of users as events."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

from tapekit_auth.auditing import Audit, tell_nobody, user_called

if TYPE_CHECKING:
    from tapekit.hookspecs.events import Event


def test_an_event_says_who_did_what_to_whom() -> None:
    events: list[Event] = []
    audit = Audit(events.append, lambda: 7.0, lambda: "root")
    audit("user-added", "anna", ("vsadmin", "backup"), ("vs1", "vs2"))
    audit("user-changed", "anna", ("backup",))
    audit("user-removed", "anna")
    tell_nobody("user-removed", "anna")
    assert [(event.name, dict(event.facts), event.time_s) for event in events] == [
        (
            "auth.user-added",
            {"user": "anna", "by": "root", "roles": "vsadmin, backup", "svms": "vs1, vs2"},
            7.0,
        ),
        (
            "auth.user-changed",
            {"user": "anna", "by": "root", "roles": "backup", "svms": "all"},
            7.0,
        ),
        ("auth.user-removed", {"user": "anna", "by": "root"}, 7.0),
    ]


def test_no_name_can_be_taken_for_the_rest_of_a_line() -> None:
    events: list[Event] = []
    audit = Audit(events.append, lambda: 7.0, lambda: "root")
    audit("user-changed", "anna", ("vsadmin",), ("vs1, by carl)\nlog", "vs-2.a"))
    assert events[0].facts["svms"] == "'vs1, by carl)\\nlog', vs-2.a"


def test_users_of_the_machine_have_names_or_numbers() -> None:
    known = pwd.getpwall()[0]
    assert user_called(known.pw_uid) == pwd.getpwuid(known.pw_uid).pw_name
    taken = {each.pw_uid for each in pwd.getpwall()}
    free = next(number for number in range(60000, 65000) if number not in taken)
    assert user_called(free) == f"uid {free}"
