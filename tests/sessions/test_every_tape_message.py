"""Every message about tapes is provoked, and its operator reads what to do.

The operator of a session reads text, identifier and action in a LOG_MESSAGE,
that of a command on the terminal, and ``tapekit explain`` tells both the
cause. The one rule: no message of the catalogues of mover and tape devices,
and none of the guide, lacks a provocation.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from session_stack import clock
from tape_faults import (
    clear,
)
from tape_provocations import PROVOCATIONS
from tapekit.cli import execute
from tapekit.cli.shell import Shell
from tapekit.kernel import installed
from tapekit_mover.errors import CATALOGUE as MOVER
from tapekit_ndmp_v4.errors import CATALOGUE as NDMP
from tapekit_tape_devices.errors import CATALOGUE as DEVICES

if TYPE_CHECKING:
    from collections.abc import Mapping


ELSEWHERE: Final = {
    # A disk that fails, and a mistake in the program.
    "mover.data-unreadable": (
        "mover/test_mover.py::test_an_unreadable_file_of_the_stream_is_an_internal_error"
    ),
    "mover.mover-failed": (
        "mover/test_mover.py::test_a_mistake_in_a_driver_ends_the_transfer_and_is_told"
    ),
    # More devices than a virtual library has.
    "tape_devices.beyond-limit": (
        "tape_devices/test_inventory.py::test_the_sixty_fifth_drive_has_no_name"
    ),
    "tape_devices.changer-beyond-limit": (
        "tape_devices/test_changers.py::test_the_seventeenth_changer_has_no_name"
    ),
    # Drives without a changer or a raw door, and a library without an empty slot.
    "tape_devices.unload-needs-library": (
        "tape_devices/test_library_sequence.py::test_a_drive_that_no_changer_knows_cannot_be_used_so"
    ),
    "tape_devices.no-empty-slot": (
        "tape_devices/test_library_sequence.py::test_a_tape_without_a_slot_stays_and_is_told"
    ),
    "tape_devices.no-raw-door": (
        "tape_devices/test_drive_trial.py::test_a_drive_that_cannot_be_checked_says_why"
    ),
    # A cartridge that is changed by hand at the right moment.
    "tape_devices.cartridge-changed": (
        "tape_devices/test_drive_trial.py::test_a_cartridge_that_is_put_in_meanwhile_is_left_alone"
    ),
    # Labels that were used twice.
    "tape_devices.same-barcode": (
        "tape_devices/test_library_places.py::test_a_barcode_that_is_there_twice_is_told_with_places"
    ),
    # A stack that does not start.
    "tape_devices.two-providers": (
        "tape_devices/test_hookspecs.py::test_two_plugins_that_answer_stop_the_start"
    ),
}
"""What no stack of virtual libraries brings about, and the tests that do."""

GUIDE: Final = frozenset(
    {
        "no-available-thread",
        "could-not-initialize-media",
        "max-sessions-in-progress",
        "record-size-out-of-range",
    }
)
"""Messages of ``ndmp_v4`` that are about tapes."""


def test_no_message_about_tapes_lacks_a_provocation() -> None:
    rows = {fault.id for catalogue in (MOVER, DEVICES) for fault in catalogue}
    rows |= {fault.id for fault in NDMP if fault.id.partition(".")[2] in GUIDE}
    assert rows == PROVOCATIONS.keys() | ELSEWHERE.keys()
    assert not PROVOCATIONS.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("place", ELSEWHERE.values())
def test_what_is_provoked_elsewhere_is(place: str, request: pytest.FixtureRequest) -> None:
    file, _, name = place.partition("::")
    source = (request.config.rootpath / "tests" / "plugins" / file).read_text()
    assert f"def {name}(" in source


@pytest.mark.requirement("R311")
@pytest.mark.requirement("R312")
@pytest.mark.requirement("R313")
@pytest.mark.requirement("R314")
@pytest.mark.requirement("R315")
@pytest.mark.requirement("R316")
@pytest.mark.requirement("R317")
@pytest.mark.requirement("R318")
@pytest.mark.requirement("R319")
@pytest.mark.requirement("R320")
@pytest.mark.requirement("R321")
@pytest.mark.requirement("R322")
@pytest.mark.requirement("R323")
@pytest.mark.requirement("R324")
@pytest.mark.requirement("R325")
@pytest.mark.requirement("R326")
@pytest.mark.parametrize("row", PROVOCATIONS)
async def test_the_operator_reads_what_happened_and_what_to_do(
    row: str, edited_stack: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    provoke, facts, edit = PROVOCATIONS[row]
    async with edited_stack(edit) as stack:
        told = await provoke(stack)
        await clear(stack)
    found = {(one.text, one.action) for one in told if one.identifier == row}
    assert len(found) == 1, told
    ((text, action),) = found
    capsys.readouterr()
    assert execute(["explain", row, "--json"], Shell(installed, {}, clock)) == 0
    explained = json.loads(capsys.readouterr().out)
    assert re.fullmatch(pattern(explained["message"], facts), text)
    assert re.fullmatch(pattern(explained["action"], facts), action)
    assert explained["cause"]


def pattern(template: str, facts: Mapping[str, object]) -> str:
    """A text with facts filled in; those that are not given are anything."""
    words = re.split(r"{(\w+)}", template)
    for at, word in enumerate(words):
        literal = word if at % 2 == 0 else facts.get(word)
        words[at] = ".+" if literal is None else re.escape(str(literal))
    return "".join(words)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("ndmp_v4.no-available-thread", "Resource limitation: no available thread"),
        ("mover.reservation-preempted", "Tape reservation preempted"),
        ("ndmp_v4.could-not-initialize-media", "Could not initialize media"),
        ("mover.could-not-initialize-media", "Could not initialize media"),
        (
            "ndmp_v4.max-sessions-in-progress",
            "Maximum number of allowed dumps or restores ({max_sessions}) in progress",
        ),
        ("mover.media-error-on-write", "Media error on tape write"),
        ("mover.tape-write-failed", "Tape write failed"),
        ("mover.new-tape-media-error", "Tape write failed - new tape encountered media error"),
        (
            "mover.new-tape-broken-or-write-protected",
            "Tape write failed - new tape is broken or write protected",
        ),
        (
            "mover.new-tape-at-end-of-media",
            "Tape write failed - new tape is already at the end of media",
        ),
        (
            "mover.tape-too-small",
            (
                "Tape write error - The previous tape had less than the required minimum "
                "capacity, {size} MB, for this tape operation, The operation should be "
                "restarted from the beginning"
            ),
        ),
        ("mover.media-error-on-read", "Media error on tape read"),
        ("mover.tape-read-error", "Tape read error"),
        ("mover.already-at-end-of-tape", "Already at the end of tape"),
        ("mover.record-size-too-small", "Tape record size is too small. Try a larger size."),
        (
            "mover.record-size-mismatch",
            "Tape record size should be {block_size1} and not {block_size2}",
        ),
        (
            "ndmp_v4.record-size-out-of-range",
            "Tape record size must be in the range between 4KB and 256KB",
        ),
    ],
)
def test_the_texts_of_the_guide_are_its_own(row: str, text: str) -> None:
    (fault,) = (one for catalogue in (MOVER, NDMP) for one in catalogue if one.id == row)
    assert fault.message == text
