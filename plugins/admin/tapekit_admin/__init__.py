"""The management socket: how commands reach a running stack."""
