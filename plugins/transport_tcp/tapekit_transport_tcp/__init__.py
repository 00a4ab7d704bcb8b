"""Control listeners on TCP, and data connections of the kinds LOCAL and TCP."""
