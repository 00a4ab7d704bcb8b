"""Devices behind a raw door: SCSI turned into the contracts of drivers."""
