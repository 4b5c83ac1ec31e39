"""Object stores: one port, an S3 adapter and a local folder."""
