"""`GET /healthz`: whether the app can paint, for whoever watches over it. It needs no login."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.desk import Desk
from demo.headers import Message
from demo.service import PictureService
from gligen import __version__

PATH = "/healthz"


@dataclass(frozen=True)
class Health:
    """Knows how the app is. Answering costs nothing: no model and no file is touched."""

    service: PictureService
    desk: Desk

    def report(self) -> dict[str, Any]:
        """Return what a watcher may know, as plain JSON values."""
        line, card = self.desk.line, self.service.card
        status = "ok" if self.service.is_ready else "loading"
        return {
            "status": "stopping" if line.is_closed else status,
            "model": _without_folders(card.name),
            "device": card.device,
            "running": line.num_running,
            "queue": line.num_waiting,
            "max_queue": line.max_waiting,
            "version": __version__,
        }


class HealthEndpoint:
    """ASGI middleware that answers for `PATH`, before any login is asked for."""

    def __init__(self, app: Callable[..., Awaitable[None]], health: Health):
        self.app = app
        self.health = health

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.app(scope, receive, send)
            return
        report = self.health.report()
        is_well = report["status"] == "ok"
        status, body = (200 if is_well else 503), json.dumps(report).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if scope["method"] not in ("GET", "HEAD"):
            status, body, headers = 405, b"", [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )


def _without_folders(name: str) -> str:
    """Return "b.bin on c" for "/a/b.bin on c": who has no login need not know the folders."""
    return " on ".join(Path(part).name for part in name.split(" on "))
