import pytest
from fastapi import APIRouter

from service.auth import ScopedRoute


def test_a_route_that_says_neither_scope_nor_public_is_not_built():
    router = APIRouter(route_class=ScopedRoute)
    with pytest.raises(TypeError, match="neither"):

        @router.get("/open")
        def handler():
            return {}


def test_every_route_of_the_service_is_scoped():
    from service.routes import decisions, health, images, profiles, rendition_files

    for module in (decisions, health, images, rendition_files, profiles):
        for route in module.router.routes:
            assert isinstance(route, ScopedRoute)
            assert hasattr(route.endpoint, "__nightlight_scope__")
