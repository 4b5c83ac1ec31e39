"""A small social site in Django: its members have protected pictures."""
