"""A data engine by somebody else: the regular files of one directory."""
