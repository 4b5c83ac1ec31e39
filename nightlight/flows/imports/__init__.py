"""Pictures that arrive from other buckets: notifications, walks of whole buckets, and their import."""
