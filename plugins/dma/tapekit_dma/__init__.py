"""A small data management application: backups to libraries, their catalogue, restores."""
