"""Relationships between volumes: one is kept as a mirror or a vault of another."""
