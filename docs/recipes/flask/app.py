"""A page of people with Flask: one client for each process, made after it was forked; threads share it."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue

from nightlight_client import NightlightClient, NightlightError, Problem

# Your own: who is on the page, and who is connected with whom.
PEOPLE = ["ada", "ben", "eve"]
FRIENDS = {("ada", "ben"), ("ben", "ada")}
# What the owner of a picture is told as the service says it: too large, of no known format, refused.
OWNER_ERRORS = {413, 415, 422}


@cache
def _client_of(_pid: int) -> NightlightClient:
    token, keys = os.environ["NIGHTLIGHT_TOKEN"], os.environ["NIGHTLIGHT_RELATIONS_KEYS"]
    return NightlightClient(os.environ["NIGHTLIGHT_URL"], token=token, relation_keys=keys)


def process_client() -> NightlightClient:
    """Return this process's client: a connection that two processes write to would mix up their answers."""
    return _client_of(os.getpid())


def signed_in() -> str:
    """Return who is signed in: whoever your session says. Never take it from a header that a viewer can set."""
    viewer = request.headers.get("X-User", "")
    return viewer if viewer in PEOPLE else abort(401)


def relation(viewer: str, profile: str) -> str:
    """Return what a viewer is to a profile, by your own graph."""
    return "self" if viewer == profile else "connection" if (viewer, profile) in FRIENDS else "stranger"


def create_app(client: Callable[[], NightlightClient] = process_client) -> Flask:
    """Return the application; its tests give it a client of the fake. A wrong host, token or key ends the start."""
    app = Flask(__name__)
    client().check("ingest", "decide")

    @app.get("/people")
    def people() -> list[dict[str, Any]]:
        viewer = signed_in()
        pairs = [(profile, relation(viewer, profile)) for profile in PEOPLE]
        decisions = client().decide("peer", "list", pairs, viewer_id=viewer)  # placeholders after its budget
        return [{"id": d.profile_id, "picture": d.url, "blurhash": d.blurhash} for d in decisions]

    @app.put("/me/picture")
    def picture() -> ResponseReturnValue:
        return {"image_id": client().upload(signed_in(), request.files["file"].stream).image_id}, 202

    @app.errorhandler(NightlightError)
    def failed(error: NightlightError) -> ResponseReturnValue:
        if isinstance(error, Problem) and error.status in OWNER_ERRORS:
            return jsonify(detail=error.detail), error.status
        return jsonify(detail="try again later"), 503, {"Retry-After": "5"} if error.retryable else {}

    return app
