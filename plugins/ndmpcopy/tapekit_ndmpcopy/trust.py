"""How the server of a secure control connection proves who it is.

The command line names either the fingerprint of its certificate or a file of
certificates. The one rule: whoever asks for a secure connection gets one
that is proved, or none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tapekit_ndmp_v4.client import ServerTrust

__all__ = ["read_trust"]

_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}")
"""A SHA-256 digest, with colons or without."""


def read_trust(text: str | None) -> ServerTrust | None:
    """What an option says of a server's certificate; nothing without it.

    :param text: a fingerprint, or else the name of a file in PEM form.
    """
    if text is None:
        return None
    if _FINGERPRINT.fullmatch(text):
        return ServerTrust(fingerprint=text)
    return ServerTrust(ca_file=Path(text))
