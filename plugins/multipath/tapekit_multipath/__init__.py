"""Multipath: drives and changers that are reached over two paths are one device each."""
