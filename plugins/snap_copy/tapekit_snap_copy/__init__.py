"""Snapshot copies by copying: works on every file system, costs time and space."""
