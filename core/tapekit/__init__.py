"""tapekit: an open NDMP v4 stack of plugins around a small kernel."""
