"""Virtual tape: drives, slots and cartridges in a folder."""
