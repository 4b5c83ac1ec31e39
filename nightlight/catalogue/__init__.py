"""The SQL catalogue: profiles, images, renditions, jobs, outbox, audit. PostgreSQL or SQLite."""
