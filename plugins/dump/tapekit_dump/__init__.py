"""The dump engine: trees as BSD dump streams, and back."""
