"""The modes of a tape drive: block length, density, compression.

What a device name asks for is compared with what the drive has, and only a
difference is sent. A drive answers for the tape that is in it: one that
cannot write a density, or cannot compress, refuses or ignores what it is
sent, and says so afterwards. The one rule: such a drive is used as it is, and
a warning tells what it does instead, because a tape must be readable
however the device is called.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.mode import (
    COMPRESSION_PAGE,
    CONFIGURATION_PAGE,
    BlockDescriptor,
    ModeData,
    ModePage,
    decode_mode,
    encode_mode,
)

if TYPE_CHECKING:
    from tapekit.scsi_devices.conversation import Conversation

__all__ = ["DriveModes"]

_LOG: Final = logging.getLogger("tapekit.scsi_devices")

_ANSWER_BYTES: Final = 0xFF
_SENSE, _SELECT = "MODE SENSE(6)", "MODE SELECT(6)"

_IS_ON, _IS_CAPABLE = 0x80, 0x40
"""In the first byte of the compression page: DCE and DCC (SSC)."""

_COMPRESSION_BYTES: Final = 6
"""Bytes of the compression page that are looked at: flags and the algorithm."""

_DEFAULT_ALGORITHM: Final = 1
"""Compresses by whatever the drive is set to."""

_SELECTS, _IS_SELECTED = 12, 0xFF
"""Where the device configuration page, without its head, selects compression (SSC)."""

_CANNOT: Final = "it cannot compress"


@final
class DriveModes:
    """What a drive is set to, and changes to that."""

    def __init__(self, talk: Conversation, device: str) -> None:
        """:param device: the drive's physical path name, for messages."""
        self._talk: Final = talk
        self._device: Final = device

    def current(self) -> ModeData:
        """The header and the block descriptor.

        :raises TapeError: the drive does not answer.
        """
        return self._sensed()

    def take_any_length(self) -> None:
        """Have the drive take records of any length.

        :raises TapeError: it takes blocks of one length alone, or does not answer.
        """
        modes = self._sensed()
        if modes.descriptor is not None and modes.descriptor.block_length:
            self._select_density(modes, modes.descriptor.density)

    def write_density(self, density: int) -> None:
        """Have a tape that is at its beginning written with a density.

        :param density: 0 for what the drive takes by itself.
        :raises TapeError: the drive does not answer.
        """
        modes = self._sensed()
        present = modes.descriptor.density if modes.descriptor else density
        if not density or present == density or modes.is_protected:
            return
        try:
            self._select_density(modes, density)
        except TapeError as error:
            _only_refused(error)
            _LOG.warning(
                "%s writes with density %02Xh and not with %02Xh as its device name says: %s",
                self._device,
                present,
                density,
                error,
            )

    def compress(self, algorithm: int) -> None:
        """Have the drive compress or not.

        :param algorithm: 0 for none.
        :raises TapeError: the drive does not answer.
        """
        page = self._page(COMPRESSION_PAGE, _COMPRESSION_BYTES)
        reason: object = _CANNOT
        if page is None or page.body[0] & _IS_CAPABLE:
            reason = self._by_either_page(page, algorithm)
        if reason is _CANNOT:
            if algorithm:
                _LOG.info("%s cannot compress", self._device)
        elif reason is not None:
            _LOG.warning(
                "%s does not %s as its device name says: %s",
                self._device,
                f"compress by algorithm {algorithm:02X}h" if algorithm else "stop to compress",
                reason,
            )

    def _by_either_page(self, page: ModePage | None, algorithm: int) -> object:
        """Switch compression on the page that is for it, or else where the
        configuration of a drive chooses; why it could not be done, or ``None``.
        """
        reason: object = _CANNOT
        if page is not None:
            reason = self._switch(page, _with_algorithm(page, algorithm), _IS_ON, at=0)
            if reason is None:
                return None
        chooser = self._page(CONFIGURATION_PAGE, _SELECTS + 1)
        if chooser is None:
            return reason
        wanted = _with_byte(chooser, _SELECTS, bool(algorithm))
        refusal = self._switch(chooser, wanted, _IS_SELECTED, at=_SELECTS)
        present = self._page(COMPRESSION_PAGE, _COMPRESSION_BYTES)
        if present is not None and bool(present.body[0] & _IS_ON) != bool(algorithm):
            return reason
        return refusal

    def _switch(self, page: ModePage, wanted: ModePage, bits: int, *, at: int) -> object:
        """Replace a page; why it could not be done, or ``None``.

        :param bits: of the byte ``at``, which tell whether it was done.
        """
        if wanted == page:
            return None
        try:
            self._select(ModeData(buffered_mode=self._sensed().buffered_mode, pages=(wanted,)))
        except TapeError as error:
            _only_refused(error)
            return error
        present = self._page(page.code, at + 1)
        is_done = present is not None and not (present.body[at] ^ wanted.body[at]) & bits
        return None if is_done else "it has ignored this"

    def _page(self, code: int, length: int) -> ModePage | None:
        """A page of so many bytes at least, if the drive has it."""
        try:
            modes = self._sensed(page=code)
        except TapeError as error:
            _only_refused(error)
            return None
        found = (page for page in modes.pages if page.code == code and len(page.body) >= length)
        return next(found, None)

    def _sensed(self, page: int = 0) -> ModeData:
        data = self._talk.run(_SENSE, room=_ANSWER_BYTES, page=page, allocation=_ANSWER_BYTES)
        return self._talk.decoded(_SENSE, lambda: decode_mode(data, is_long=False))

    def _select_density(self, modes: ModeData, density: int) -> None:
        """Set a density, and records of any length."""
        descriptor = BlockDescriptor(density, 0)
        self._select(ModeData(buffered_mode=modes.buffered_mode, descriptor=descriptor))

    def _select(self, wanted: ModeData) -> None:
        # The length of the list is in the command; its own field is reserved.
        data = b"\0" + encode_mode(wanted, is_long=False)[1:]
        self._talk.run(_SELECT, data, page_format=1, list_length=len(data))


def _with_algorithm(page: ModePage, algorithm: int) -> ModePage:
    body = bytearray(page.body)
    body[0] = body[0] & ~_IS_ON | (_IS_ON if algorithm else 0)
    if algorithm > _DEFAULT_ALGORITHM:
        body[2:6] = algorithm.to_bytes(4, "big")
    return page._replace(body=bytes(body))


def _with_byte(page: ModePage, at: int, value: int) -> ModePage:
    return page._replace(body=page.body[:at] + bytes((value,)) + page.body[at + 1 :])


def _only_refused(error: TapeError) -> None:
    """Go on if the drive has refused; whatever else is wrong is raised."""
    if error.condition is not Condition.BAD_REQUEST:
        raise error
