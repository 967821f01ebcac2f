"""The app's routes as the middleware needs them: who may use one, and which body it takes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import compile_path

from domain.gateway.api_keys import Scope
from serving.auth import SENDER_SCOPE, BodyKind, body_kind, required_scope
from serving.problem_details import ProblemError

__all__ = ["RoutePolicy", "RouteTable"]


@dataclass(frozen=True)
class RoutePolicy:
    """Requirements of a route and method. scope : that clients need; none: it is open to all. route : its path."""

    scope: Scope | None
    body: BodyKind
    route: str = ""


@dataclass(frozen=True)
class _Address:
    pattern: re.Pattern[str]
    policies: Mapping[str, RoutePolicy]


class RouteTable:
    """Policies by address and method, read from the routes themselves."""

    def __init__(self, app: FastAPI) -> None:
        by_path: dict[str, dict[str, RoutePolicy]] = {}
        for context in iter_route_contexts(app.routes):
            policies = by_path.setdefault(context.path or "", {})
            for method in context.methods or ():
                policies.setdefault(method, _policy(context))
        self._addresses = [_Address(compile_path(path)[0], policies) for path, policies in by_path.items()]

    def find(self, path: str, method: str) -> tuple[RoutePolicy, dict[str, str]]:
        """Return the policy of a request, and the parameters in its path.

        Raises
        ------
        ProblemError
            404 for a path that no route has, 405 for a method that its routes do not take.
        """
        if not path.isprintable():  # No name has such characters, and no database that is asked for one takes NUL.
            raise ProblemError(404, "Not Found")
        methods = set[str]()
        for address in self._addresses:
            match = address.pattern.match(path)
            if match and method in address.policies:
                return address.policies[method], match.groupdict()
            if match:
                methods |= address.policies.keys()
        if not methods:
            raise ProblemError(404, "Not Found")
        allowed = ", ".join(sorted(methods))
        raise ProblemError(405, f"{method} is not for this address; use {allowed}", headers={"Allow": allowed})

    def policies(self) -> Iterator[tuple[str, str, RoutePolicy]]:
        """Yield pattern, method and policy of every route."""
        for address in self._addresses:
            for method, policy in address.policies.items():
                yield address.pattern.pattern, method, policy


def _policy(context: RouteContext) -> RoutePolicy:
    kind = body_kind(context.endpoint)
    if kind == "event":
        return RoutePolicy(SENDER_SCOPE, kind, context.path or "")
    dependant = getattr(context, "dependant", None)
    scopes = [scope for call in _calls(dependant) if (scope := required_scope(call))] if dependant else []
    has_body = dependant is not None and bool(dependant.body_params)
    return RoutePolicy(scopes[0] if scopes else None, kind or ("json" if has_body else "none"), context.path or "")


def _calls(dependant: Any) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)
