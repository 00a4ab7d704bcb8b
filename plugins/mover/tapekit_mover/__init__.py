"""The mover: whole records between a data connection and a tape."""
