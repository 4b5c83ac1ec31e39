"""Exports: a person's own data, for that person."""
