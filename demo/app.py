"""Builds the page and says how it is served."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from demo import api
from demo.blocks import PageBlocks
from demo.components.arrival import Arrival
from demo.components.pagehead import PageHead
from demo.desk import Desk
from demo.flags import MAX_QUEUE
from demo.handlers import Options
from demo.headers import SafeHeaders
from demo.health import Health, HealthEndpoint
from demo.history import Visits
from demo.maps import MAP_KINDS
from demo.recipes import Tab
from demo.service import (
    GENERATION,
    IMAGE_GENERATION,
    IMAGE_INPAINTING,
    INPAINTING,
    KEYPOINT,
    PictureService,
)
from demo.tabs import (
    about,
    absent,
    compare,
    generate,
    history,
    inpaint,
    keeping,
    keypoints,
    maps,
)
from demo.tabs.filling import AnyTab, Stations
from demo.tabs.running import Workshop
from demo.texts import page as texts
from demo.texts.compare import COMPARE, COMPARING
from demo.texts.memory import HISTORY_TITLE
from demo.theme import build_theme

# Gradio's own queue only hands events over; the line of the desk turns people away with a sentence.
# This many more than the line holds may arrive at one moment before Gradio answers 503.
MORE_AT_ONCE = 64
NUM_THREADS = 40  # besides one for each place in the line
MAX_FILE_SIZE = "20mb"


@dataclass(frozen=True)
class Serving:
    """How the page is served."""

    server_name: str = "127.0.0.1"
    server_port: int | None = None  # None: the first free one from 7860
    share: bool = False
    auth: tuple[tuple[str, str], ...] = ()  # user names and passwords; empty: no login
    has_mcp: bool = False  # whether programs may come by the model context protocol
    max_waiting: int = MAX_QUEUE  # places in the line
    can_be_embedded: bool = False  # notebook services show the page inside their own


def build_app(
    service: PictureService,
    defaults: Options | None = None,
    folder: Path | None = None,
    desk: Desk | None = None,
) -> gr.Blocks:
    """Build the page on a service.

    Args:
        service: makes the pictures.
        defaults: the first values of the settings.
        folder: where finished pictures are kept; None: they are only on the page.
        desk: limits and the line; None: the usual ones.
    """
    desk = desk or Desk()
    visits = Visits(Path(get_upload_folder()) / "visits")
    workshop = Workshop(service, desk, defaults or Options(), folder, visits)
    with PageBlocks(
        title=texts.BROWSER_TITLE,
        analytics_enabled=False,
        delete_cache=(3600, 3600),
    ) as page:
        PageHead(service.card)
        arrival = Arrival(elem_id="arrival")
        with gr.Tabs(overflow_behavior="wrap") as bar:
            with gr.Tab(texts.GENERATE, id="generate"):
                kinds = (GENERATION, IMAGE_GENERATION)
                made = _build_tab(kinds, texts.GENERATING, generate.build, workshop)
            with gr.Tab(COMPARE, id="compare") as place:
                if isinstance(made, generate.GenerateTab):
                    compare.build(workshop, made, place)
                else:
                    absent.build(kinds, COMPARING, service.card)
            tabs: dict[Tab, AnyTab | None] = {"generate": made}
            with gr.Tab(texts.INPAINT, id="inpaint"):
                kinds = (INPAINTING, IMAGE_INPAINTING)
                tabs["inpaint"] = _build_tab(kinds, texts.INPAINTING, inpaint.build, workshop)
            with gr.Tab(texts.KEYPOINTS, id="keypoints"):
                kinds = (KEYPOINT,)
                tabs["keypoints"] = _build_tab(
                    kinds, texts.PLACING_PEOPLE, keypoints.build, workshop
                )
            with gr.Tab(texts.MAPS, id="maps"):
                tabs["maps"] = _build_tab(MAP_KINDS, texts.PAINTING_FROM_MAPS, maps.build, workshop)
            loaded = {name: tab for name, tab in tabs.items() if tab is not None}
            stations = Stations(loaded, bar, arrival, service.card)
            with gr.Tab(HISTORY_TITLE, id="history") as history_tab:
                history.build(history_tab, stations, visits)
            with gr.Tab(texts.ABOUT, id="about-tab"):
                about.build(service.card)
        keeping.build(stations, visits, workshop.defaults)
        api.build(workshop)

        def leave(request: gr.Request) -> None:
            workshop.signals.leave(request.session_hash or "")
            visits.leave(request.session_hash or "")

        page.unload(leave)
    page.queue(
        max_size=desk.line.max_waiting + MORE_AT_ONCE,
        default_concurrency_limit=1,
    )
    return page


def _build_tab(kinds: tuple[str, ...], what: str, build, workshop: Workshop) -> AnyTab | None:
    """Build a tab and return it if one of the kinds that it works with is loaded, else None."""
    card = workshop.service.card
    if any(card.has(kind) for kind in kinds):
        return build(workshop)
    absent.build(kinds, what, card)
    return None


def launch_options(serving: Serving, health: Health | None = None) -> dict[str, Any]:
    """Return the arguments of `Blocks.launch`: what the page may do, and how it looks.

    Args:
        serving: how the page is served.
        health: answers whether the app is well; None: nobody does.
    """
    middleware = [Middleware(SafeHeaders, can_be_embedded=serving.can_be_embedded)]
    if health is not None:
        middleware.append(Middleware(HealthEndpoint, health=health))
    return {
        "server_name": serving.server_name,
        "server_port": serving.server_port,
        "share": serving.share,
        "auth": list(serving.auth) or None,
        "show_error": False,
        # Gradio's own look at the page gives a slow machine three seconds, and then ends the app.
        "_frontend": False,
        "quiet": True,
        "max_file_size": MAX_FILE_SIZE,
        "allowed_paths": [],
        "enable_monitoring": False,
        "mcp_server": serving.has_mcp,
        "max_threads": NUM_THREADS + serving.max_waiting,
        "ssr_mode": False,
        "strict_cors": True,
        "state_session_capacity": 200,
        "footer_links": ["api"],
        "app_kwargs": {"middleware": middleware},
        "theme": build_theme(),
        "css": files("demo").joinpath("page.css").read_text(encoding="utf-8"),
    }
