"""Snapshot copies by btrfs: a picture of one moment, made at once."""
