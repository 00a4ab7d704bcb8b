"""Users of NIS and LDAP, as the machine's name service knows them.

The C library asks what ``/etc/nsswitch.conf`` names for ``passwd``; neither
NIS nor LDAP is spoken here. A mark tells whether a user's entry still has
the login password that it had; where the service does not show the password,
as most LDAP set-ups do not, the mark cannot tell. The one rule: a call may
block for as long as a directory is slow, so the event loop never makes one.
"""

from __future__ import annotations

import hashlib
import pwd
from typing import Protocol, final

__all__ = ["MachineNames", "NameService"]


class NameService(Protocol):
    """Who exists, in the eyes of the machine."""

    def mark(self, user: str) -> bytes | None:
        """What the entry of a user has for a login password, as a digest;
        ``None`` if there is no such user. It blocks.
        """
        ...


@final
class MachineNames:
    """The name service of this machine."""

    def mark(self, user: str) -> bytes | None:
        """See :meth:`NameService.mark`."""
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            return None
        return hashlib.sha256(entry.pw_passwd.encode("utf-8", "surrogateescape")).digest()
