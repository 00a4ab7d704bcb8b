"""The backup log: dump and restore events as lines of a file that rotates."""
