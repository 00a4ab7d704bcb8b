"""The SMTape engine: volumes with their Snapshot copies as images, and back."""
