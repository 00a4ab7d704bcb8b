"""Aliases: lasting names of tape drives and media changers."""
