"""Relationships as they are remembered, and the table of their states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_snapmirror.relationships import STEPS, MirrorState, Relationship, Step

if TYPE_CHECKING:
    from tests.plugins.snapmirror.mirror_site import MirrorSite


@pytest.mark.parametrize("state", MirrorState)
@pytest.mark.parametrize("step", Step)
def test_a_step_is_taken_or_says_what_is_possible(
    site: MirrorSite, state: MirrorState, step: Step
) -> None:
    found = Relationship(
        id="1", source="/vs1/a", destination="/vs1/b", kind=site.make().kind, state=state
    )
    expected = STEPS[state].get(step)
    if expected is not None:
        assert found.after(step) is expected
        return
    with pytest.raises(TapekitError) as caught:
        found.after(step)
    for possible in STEPS[state]:
        assert possible.value in str(caught.value).partition("possible: ")[2]


def test_every_state_can_be_reached_and_left() -> None:
    reached = {after for steps in STEPS.values() for after in steps.values()}
    assert reached | {MirrorState.UNINITIALIZED} == set(MirrorState) == set(STEPS)
    assert all(STEPS.values())


def test_relationships_are_remembered_by_destination(site: MirrorSite) -> None:
    made = site.make()
    assert site.relationships.get("/vs1/copy") == made
    assert site.relationships.all() == [made]
    site.relationships.forget(made)
    assert site.relationships.find("/vs1/copy") is None
    with pytest.raises(TapekitError, match="destination of no relationship"):
        site.relationships.get("/vs1/copy")


def test_what_another_version_remembers_is_refused(site: MirrorSite) -> None:
    site.kernel.state.change("snapmirror.relationships", {"/vs1/copy": b'{"id": 1}'})
    with pytest.raises(TapekitError, match=r"/vs1/copy: what is remembered .* cannot be read"):
        site.relationships.all()
