"""Qualification: which tape drives may be used, by tape configuration files."""
