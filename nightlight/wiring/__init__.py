"""The one place where adapters are built and put together: for the service, and for the workers.

Two deployments: ``embedded`` (SQLite, a folder or S3; nothing to install) and ``scale``
(PostgreSQL, S3, RabbitMQ). Nothing is built at import time, and what only one kind of process uses is
imported only there.
"""
