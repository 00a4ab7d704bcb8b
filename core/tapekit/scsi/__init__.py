"""SCSI as far as tape and changers go: no protocol above it, no I/O below it.

Tables of commands, sense data, and the layouts of what devices answer, for
those who send commands and for those who answer them.
"""
