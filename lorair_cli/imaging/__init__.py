"""Pixels and files: decode, encode, metadata, tiles, colour."""
