"""The requests that clients send: one builder for each route, one module for each subject.

A builder takes what the caller says, refuses ids that the service would refuse, and returns a ``Request``. It sends
nothing. ``NightlightClient`` and ``AsyncNightlightClient`` have a method for each, of its name, that sends what it
returns; so its docstring says what the method does.
"""

from nightlight_client.multipart_body import Form
from nightlight_client.requests.decisions import Items, fallback, placeholder_url
from nightlight_client.requests.http_request import Request, Retry

__all__ = ["Form", "Items", "Request", "Retry", "fallback", "placeholder_url"]
