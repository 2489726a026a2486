"""Every way into the product from outside, found in the code itself, so that none can be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver
from ninja import NinjaAPI

from dropfront import api, lean_routes
from live.routing import nowhere, websocket_urlpatterns

# Mounted apps that are somebody else's: a family each, tested as one.
FAMILIES = {"staff/": "staff", "accounts/": "allauth"}


class Operation(NamedTuple):
    """`path` is a pattern: "/api/v1/sales/{sale_id}". `method` is "PAGE" for a Django view, which decides itself."""

    method: str
    path: str


def all_operations() -> set[Operation]:
    return {*api_operations(api.api), *pages(), *lean_operations(), *sockets()}


def api_operations(api: NinjaAPI, prefix: str = "/api/v1") -> Iterator[Operation]:
    yield Operation("GET", f"{prefix}/openapi.json")
    for mount, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    yield Operation(method, _plain(f"{prefix}/{mount}/{path}").rstrip("/"))


def pages(resolver: Any = None, prefix: str = "") -> Iterator[Operation]:
    """Django's URL patterns, but for the API (above) and the families."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if path in FAMILIES or path == "api/v1/":
            continue
        if isinstance(pattern, URLResolver):
            yield from pages(pattern, path)
        else:
            assert isinstance(pattern, URLPattern)
            yield Operation("PAGE", _plain("/" + path))


def family_paths(mount: str) -> set[str]:
    """The patterns below a mounted app, as their own package writes them."""
    (found,) = [pattern for pattern in get_resolver().url_patterns if str(pattern.pattern) == mount]
    return set(_paths_in(found))


def _paths_in(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _paths_in(pattern, path)
        else:
            yield path


def lean_operations() -> Iterator[Operation]:
    for route in lean_routes.ROUTES:
        methods = getattr(route, "methods", None) or {route.method}
        for method in methods - {"HEAD"}:
            yield Operation(method, path_of(route))


def path_of(route: Any) -> str:
    """A lean route's path; the hottest are matched without a pattern, by what stands around the sale's id."""
    if hasattr(route, "before"):
        return f"{route.before}{{sale_id}}{route.after}"
    return _plain(route.path)


def sockets() -> Iterator[Operation]:
    for pattern in websocket_urlpatterns:
        if pattern.callback is not nowhere:
            yield Operation("SOCKET", _plain(f"/{pattern.pattern}"))


# The names of path converters, which Django writes before the parameter, Starlette after it, and Ninja in its own words.
_CONVERTERS = {"uuid", "uuidstr", "slug", "str", "int", "path"}


def _plain(path: str) -> str:
    """`<uuid:sale_id>`, `{uuidstr:sale_id}` and `{sale_id:uuid}` are all written `{sale_id}`; slashes never double."""
    parts = [_plain_part(part) for part in path.replace("<", "{").replace(">", "}").split("/")]
    return "/" + "/".join(part for part in parts if part) + ("/" if path.endswith("/") and any(parts) else "")


def _plain_part(part: str) -> str:
    if not part.startswith("{"):
        return part
    (name,) = [name for name in part.strip("{}").split(":") if name not in _CONVERTERS]
    return "{" + name + "}"
