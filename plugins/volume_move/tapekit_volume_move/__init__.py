"""Moves volumes to other aggregates while backups of them run."""
