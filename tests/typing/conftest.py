"""The strangers' own tests run where their packages are installed, not here."""

collect_ignore = ["tapekit-ramtape", "tapekit-flatfiles"]
