"""How a drive fares, from its own log pages: alerts and corrected errors.

A drive hands its alerts to whoever reads them and then forgets them, so they
are read once in a while and written to our log. The one rule: what a drive
does not tell is nothing, and no error.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.log import (
    COUNTER_PAGES,
    PAGE_LIST,
    READ_ERRORS_PAGE,
    TAPE_ALERT_PAGE,
    TAPE_ALERTS,
    WRITE_ERRORS_PAGE,
    decode_alerts,
    decode_counters,
    decode_log,
    decode_log_list,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.scsi_devices.conversation import Conversation

__all__ = ["corrected_errors", "counters", "tell_alerts"]

_LOG: Final = logging.getLogger("tapekit.scsi_devices")

_ANSWER_BYTES: Final = 0x400
_LOG_SENSE: Final = "LOG SENSE"
_CORRECTED: Final = 3
"""The parameter with all errors that were corrected (SPC, error counter pages)."""


def corrected_errors(talk: Conversation) -> int | None:
    """Errors of writing and reading that the drive has corrected since the
    tape was loaded; ``None`` if it does not count them.

    :raises TapeError: the drive does not answer, or cannot be understood.
    """
    counts = [_corrected(talk, page) for page in (WRITE_ERRORS_PAGE, READ_ERRORS_PAGE)]
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def counters(talk: Conversation) -> Mapping[str, Mapping[str, int]]:
    """All that the drive counts, by the titles of its log pages.

    :raises TapeError: the drive does not answer, or cannot be understood.
    """
    listed = _page(talk, PAGE_LIST)
    known = talk.decoded(_LOG_SENSE, lambda: decode_log_list(listed)) if listed else frozenset()
    found = {}
    for page, words in COUNTER_PAGES.items():
        data = _page(talk, page) if page in known else b""
        if data:
            found[words.title] = talk.decoded(_LOG_SENSE, partial(decode_counters, data, page))
    return found


def tell_alerts(talk: Conversation, device: str) -> Mapping[int, str]:
    """Log what the drive wants somebody to know (SSC, TapeAlert).

    :param device: the drive's physical path name.
    :returns: the same, by the numbers of the flags.
    :raises TapeError: the drive does not answer, or cannot be understood.
    """
    data = _page(talk, TAPE_ALERT_PAGE)
    raised = talk.decoded(_LOG_SENSE, lambda: decode_alerts(data)) if data else ()
    alerts = {code: TAPE_ALERTS.get(code, "of the maker's own") for code in sorted(raised)}
    for code, meaning in alerts.items():
        _LOG.warning("%s raises TapeAlert %d: %s", device, code, meaning)
    return alerts


def _corrected(talk: Conversation, page: int) -> int | None:
    data = _page(talk, page)
    rows = dict(talk.decoded(_LOG_SENSE, lambda: decode_log(data, page))) if data else {}
    return int.from_bytes(rows[_CORRECTED], "big") if _CORRECTED in rows else None


def _page(talk: Conversation, page: int) -> bytes:
    """A log page; empty if the drive has none of that number."""
    try:
        return talk.run(
            _LOG_SENSE, room=_ANSWER_BYTES, control=1, page=page, allocation=_ANSWER_BYTES
        )
    except TapeError as error:
        if error.condition is not Condition.BAD_REQUEST:
            raise
        return b""
