"""The stranger's own tests run where its package is installed, not here."""

collect_ignore = ["tapekit-ramtape"]
