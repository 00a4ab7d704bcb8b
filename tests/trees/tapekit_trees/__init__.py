"""Trees of files for tests, the demo and the benchmark: made, and compared."""
