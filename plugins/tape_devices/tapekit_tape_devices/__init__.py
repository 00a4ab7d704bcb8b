"""Tape devices: drives with names, opened by one holder at a time."""
