"""Tapes in memory, by a third party."""
