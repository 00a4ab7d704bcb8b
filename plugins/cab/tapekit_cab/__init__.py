"""Cluster Aware Backup: extension class 0x2052, and work on other nodes."""
