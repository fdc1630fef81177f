"""Serves a page in this process for the length of a test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from demo.app import Serving, build_app, launch_options
from demo.service import PictureService


@contextmanager
def served(service: PictureService, **more) -> Iterator[str]:
    """Serve a page on a free port and give its address."""
    page = build_app(service, **more)
    options = launch_options(Serving())
    try:
        _, address, _ = page.launch(**options, prevent_thread_lock=True)
        yield address
    finally:
        page.close(verbose=False)
