"""``python -m tapekit`` is the command ``tapekit``."""

from __future__ import annotations

from tapekit.cli import main

if __name__ == "__main__":
    main()
