"""TCP/IPv6 data connections: the Connection Address Extension, class 0x2051."""
