"""Tape drives and media changers of this host, through the generic SCSI driver of Linux."""
