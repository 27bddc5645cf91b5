"""What machines ask over HTTP: /metrics, /healthz, /readyz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from proxy.observe.export import CONTENT_TYPE


class Readiness(Protocol):
    """Who knows whether a server group can be used."""

    def problems(self) -> list[str]:
        """Say what is in the way; nothing: it is ready."""

    def notes(self) -> list[str]:
        """Say what else an operator should know; it makes nothing less ready."""


def make_app(
    render: Callable[[], bytes],
    groups: Mapping[str, Readiness],
    is_stopping: Callable[[], bool],
) -> Starlette:
    """Make the application that answers.

    Args:
        render: Makes what /metrics shows.
        groups: By name, for /readyz.
        is_stopping: Whether the process is on its way out: then it is not ready.
    """

    async def metrics(request: Request) -> Response:
        return Response(render(), media_type=CONTENT_TYPE)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        detail = {name: group.problems() for name, group in groups.items()}
        if is_stopping():
            detail["process"] = ["shutting down"]
        is_ready = not any(detail.values())
        body = {"ready": is_ready, "groups": detail}
        notes = {name: said for name, group in groups.items() if (said := group.notes())}
        if notes:
            body["notes"] = notes
        return JSONResponse(body, status_code=200 if is_ready else 503)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", health),
            Route("/readyz", ready),
        ]
    )
