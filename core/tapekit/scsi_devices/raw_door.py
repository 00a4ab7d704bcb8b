"""The door of a drive as its user's own commands find it.

A drive may stand elsewhere than its user believes, to save motion. The one
rule: before a command of the user's own, it stands where it should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.scsi.door import CdbDoor, CdbReply, ScsiAddress

__all__ = ["RawDoor"]


@final
class RawDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` before another."""

    def __init__(self, door: CdbDoor, settle: Callable[[], object]) -> None:
        """:param settle: brings the head to its place; may raise TapeError."""
        self._door: Final = door
        self._settle: Final = settle

    @property
    def address(self) -> ScsiAddress:
        """See :meth:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`."""
        self._settle()
        return self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._door.reset()
