"""The dump engine's loops over small files in C, with the interpreter free meanwhile."""
