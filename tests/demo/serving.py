"""Serves a page in this process for the length of a test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from demo.app import Serving, build_app, launch_options
from demo.desk import Desk
from demo.health import Health
from demo.service import PictureService


@contextmanager
def served(
    service: PictureService, serving: Serving | None = None, desk: Desk | None = None, **more
) -> Iterator[str]:
    """Serve a page on a free port and give its address."""
    desk = desk or Desk()
    page = build_app(service, desk=desk, **more)
    options = launch_options(serving or Serving(), Health(service, desk))
    try:
        _, address, _ = page.launch(**options, prevent_thread_lock=True)
        yield address
    finally:
        page.close(verbose=False)
