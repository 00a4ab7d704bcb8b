"""The stack's memory over restarts, in one SQLite file."""
