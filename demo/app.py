"""Builds the page and says how it is served."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from demo import api
from demo.handlers import Options
from demo.headers import SafeHeaders
from demo.maps import MAP_KINDS
from demo.service import (
    GENERATION,
    IMAGE_GENERATION,
    IMAGE_INPAINTING,
    INPAINTING,
    KEYPOINT,
    ModelCard,
    PictureService,
)
from demo.session import StopSignals
from demo.tabs import absent, generate, inpaint, keypoints, maps
from demo.tabs.running import Workshop

MAX_WAITING = 16  # requests in the queue; more are refused
MAX_FILE_SIZE = "20mb"


@dataclass(frozen=True)
class Serving:
    """How the page is served."""

    server_name: str = "127.0.0.1"
    server_port: int | None = None  # None: the first free one from 7860
    share: bool = False
    auth: tuple[str, str] | None = None  # user name and password
    can_be_embedded: bool = False  # notebook services show the page inside their own


def build_app(
    service: PictureService, defaults: Options | None = None, folder: Path | None = None
) -> gr.Blocks:
    """Build the page on a service.

    Args:
        service: makes the pictures.
        defaults: the first values of the settings.
        folder: where finished pictures are kept; None: they are only on the page.
    """
    workshop = Workshop(service, StopSignals(), defaults or Options(), folder)
    with gr.Blocks(
        title="GLIGEN: pictures from boxes and words",
        analytics_enabled=False,
        delete_cache=(3600, 3600),
    ) as page:
        _build_header(service.card)
        with gr.Tabs():
            with gr.Tab("Generate", id="generate"):
                kinds = (GENERATION, IMAGE_GENERATION)
                _build_tab(kinds, "Generating pictures", generate.build, workshop)
            with gr.Tab("Inpaint", id="inpaint"):
                kinds = (INPAINTING, IMAGE_INPAINTING)
                _build_tab(kinds, "Inpainting", inpaint.build, workshop)
            with gr.Tab("Keypoints", id="keypoints"):
                _build_tab((KEYPOINT,), "Placing people", keypoints.build, workshop)
            with gr.Tab("Maps", id="maps"):
                _build_tab(MAP_KINDS, "Painting from a map", maps.build, workshop)
        api.build(workshop)

        def leave(request: gr.Request) -> None:
            workshop.signals.leave(request.session_hash or "")

        page.unload(leave)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1)
    return page


def _build_tab(kinds: tuple[str, ...], what: str, build, workshop: Workshop) -> None:
    """Build a tab if one of the kinds that it works with is loaded."""
    card = workshop.service.card
    if any(card.has(kind) for kind in kinds):
        build(workshop)
    else:
        absent.build(kinds, what, card)


def _build_header(card: ModelCard) -> None:
    with gr.Row(elem_classes="page-head"):
        gr.Markdown(
            "# GLIGEN\nSay *where* each thing goes: draw boxes, name them, let the model paint.",
            elem_classes="page-title",
        )
        # Names of models are shown as text: a path may contain what Markdown would read as markup.
        lines = [f"Model: {card.name} on {card.device}", card.reason, *card.notes]
        gr.Textbox(
            "\n".join(lines),
            show_label=False,
            container=False,
            interactive=False,
            lines=2,
            max_lines=4,
            elem_id="model-card",
            elem_classes="model-card",
        )


def launch_options(serving: Serving) -> dict[str, Any]:
    """Return the arguments of `Blocks.launch`: what the page may do, and how it looks."""
    return {
        "server_name": serving.server_name,
        "server_port": serving.server_port,
        "share": serving.share,
        "auth": serving.auth,
        "show_error": False,
        "quiet": True,
        "max_file_size": MAX_FILE_SIZE,
        "allowed_paths": [],
        "enable_monitoring": False,
        "mcp_server": False,
        "ssr_mode": False,
        "strict_cors": True,
        "state_session_capacity": 200,
        "footer_links": ["api"],
        "app_kwargs": {
            "middleware": [Middleware(SafeHeaders, can_be_embedded=serving.can_be_embedded)]
        },
        "theme": _theme(),
        "css": files("demo").joinpath("page.css").read_text(encoding="utf-8"),
    }


def _theme() -> gr.themes.Base:
    # Fonts that are on the reader's machine: nothing is fetched from elsewhere.
    return gr.themes.Base(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        radius_size="md",
        font=["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
