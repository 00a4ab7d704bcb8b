"""Tape drives and media changers on iSCSI targets, reached in user space."""
