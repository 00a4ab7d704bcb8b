"""NDMP modes of a node, its logical interfaces, and what sessions on them see."""
