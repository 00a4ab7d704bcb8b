"""NDMP version 4: the wire as data, a server and a client library."""
