"""A picture's life: its profile, its upload, its renditions, and the hash lists it is held against."""
