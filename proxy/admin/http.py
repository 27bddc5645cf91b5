"""What machines ask over HTTP: /metrics, /healthz, /readyz."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from proxy.observe.export import CONTENT_TYPE

State: TypeAlias = tuple[bool, dict[str, object]]
"""Whether it is ready, and what /readyz says of that."""


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
    """Make the application that answers for this process.

    Args:
        render: Makes what /metrics shows.
        groups: By name, for /readyz.
        is_stopping: Whether the process is on its way out: then it is not ready.
    """

    async def metrics() -> bytes:
        return render()

    async def ready() -> State:
        detail = {name: group.problems() for name, group in groups.items()}
        if is_stopping():
            detail["process"] = ["shutting down"]
        is_ready = not any(detail.values())
        body: dict[str, object] = {"ready": is_ready, "groups": detail}
        notes = {name: said for name, group in groups.items() if (said := group.notes())}
        if notes:
            body["notes"] = notes
        return is_ready, body

    return make_asking_app(metrics, ready)


def make_asking_app(
    metrics: Callable[[], Awaitable[bytes]], ready: Callable[[], Awaitable[State]]
) -> Starlette:
    """Make the application that answers when it has asked others.

    Args:
        metrics: Makes what /metrics shows.
        ready: Finds out what /readyz shows.
    """

    async def show_metrics(request: Request) -> Response:
        return Response(await metrics(), media_type=CONTENT_TYPE)

    async def show_health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def show_ready(request: Request) -> Response:
        is_ready, body = await ready()
        return JSONResponse(body, status_code=200 if is_ready else 503)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", show_health),
            Route("/readyz", show_ready),
        ]
    )
