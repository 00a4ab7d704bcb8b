"""Extension class 0x2050: restartable backups and Snapshot management."""
