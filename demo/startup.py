"""From the flags to a running service: which model, why, and how the page is served."""

import importlib.util
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from demo.app import Serving
from demo.calls import first_values
from demo.desk import Desk
from demo.flags import Flags
from demo.handlers import Options
from demo.knowing import EMBEDDED_NAMES
from demo.line import Line
from demo.rate import RateLimit
from demo.service import GENERATION, LocalService, ModelCard
from demo.texts import operations as texts
from gligen.loading import EMBEDDED, OFFICIAL, choose_device, load_pipelines
from gligen.memory import ON_DEVICE, Plan, apply, plan
from gligen.pictures.ade import NAMES
from gligen.pipeline import GligenPipeline
from gligen.safety import check_pictures_of, is_released, load_safety_checker

# Set in the notebooks of Colab, Kaggle, and Gradient / Paperspace.
NOTEBOOK_VARIABLES = (
    "COLAB_RELEASE_TAG",
    "COLAB_GPU",
    "KAGGLE_KERNEL_RUN_TYPE",
    "KAGGLE_URL_BASE",
    "GRADIENT_API_KEY",
    "PAPERSPACE_NOTEBOOK_REPO_ID",
    "PAPERSPACE_FQDN",
    "PAPERSPACE_CLUSTER_ID",
)
SHARE_HOST = "api.gradio.app"
CONNECT_SECONDS = 5
# Pictures of several people that are painted together. On a CPU a batch takes nearly as long as its
# pictures one by one, and all of it has to be waited for.
MAX_BATCH, MAX_BATCH_CUDA = 4, 8


@dataclass(frozen=True)
class Choice:
    """Which model is loaded, and why."""

    source: str
    reason: str  # a full sentence


def load_service(flags: Flags) -> LocalService:
    """Load the model that the flags ask for.

    Raises:
        ValueError: it cannot be had, or a device or dtype cannot be used.
    """
    device = choose_device(flags.device)
    choice = choose_model(flags, has_cuda=device.type == "cuda")
    budget = flags.device_budget
    # What may not fit on the device is looked at elsewhere first.
    loading = flags if budget is None else replace(flags, device="cpu", dtype=_dtype(flags, device))
    try:
        pipelines = load_kinds(choice.source, loading)
        safety = add_safety(choice.source, pipelines, loading)
    except ValueError as error:
        if flags.model != "auto" or choice.source == EMBEDDED:
            raise
        choice = Choice(EMBEDDED, f"The official models could not be had: {error}")
        pipelines, safety = load_kinds(choice.source, loading), []
    placed = [] if budget is None else place(pipelines, budget, device, flags.max_batch)
    card = ModelCard(
        name=choice.source if flags.base is None else f"{choice.source} on {flags.base}",
        reason=choice.reason,
        device=str(device),
        image_sizes={kind: pipeline.image_size for kind, pipeline in pipelines.items()},
        notes=(*_notes(flags, pipelines), *safety, *(plan.reason for plan in placed)),
        max_batch=min((plan.max_batch for plan in placed), default=None),
        lacking=frozenset(_lacking(choice.source, flags, pipelines)),
        label_names=_label_names(pipelines),
        known_names=known_names(choice.source),
    )
    return LocalService(pipelines, card)


def _label_names(pipelines: Mapping[str, GligenPipeline]) -> tuple[str, ...]:
    semantic = pipelines.get("semantic")
    return NAMES if semantic is None else semantic.label_names or NAMES


def known_names(source: str) -> tuple[str, ...]:
    """Return all that a model can paint, or nothing where it takes any words."""
    return EMBEDDED_NAMES if source == EMBEDDED else ()


def choose_model(flags: Flags, has_cuda: bool) -> Choice:
    """Decide between the embedded and the official model where the flags leave it open."""
    if flags.model != "auto":
        return Choice(flags.model, f"It was asked for with --model {flags.model}.")
    if flags.base is not None:
        return Choice(OFFICIAL, "Its layers go onto the base that was named.")
    if has_cuda:
        return Choice(OFFICIAL, "There is a CUDA device, fast enough for the official models.")
    return Choice(
        EMBEDDED,
        "There is no CUDA device; this small model paints on any machine, without a download.",
    )


def place(
    pipelines: Mapping[str, GligenPipeline],
    budget: int,
    device: torch.device,
    max_batch: int | None,
) -> list[Plan]:
    """Put the models where they fit into a budget of memory; return what was decided.

    Raises:
        ValueError: several kinds do not fit together, and only one can be kept elsewhere.
    """
    pipes = list(pipelines.values())
    plans = []
    for number, pipeline in enumerate(pipes):
        others = [part for other in pipes[:number] + pipes[number + 1 :] for part in _parts(other)]
        others.append(pipeline.safety_checker)
        components = replace(pipeline._components, device=device)
        plans.append(plan(components, budget, max_batch or _usual_batch(device), others=others))
    if len(pipes) > 1 and any(found.placement != ON_DEVICE for found in plans):
        raise ValueError(texts.BUDGET_FOR_ONE.format(kinds=len(pipes), reason=plans[0].reason))
    for pipeline, found in zip(pipes, plans, strict=True):
        apply(pipeline, found, device)
    return plans[:1] if len({found.reason for found in plans}) == 1 else plans


def _parts(pipeline: GligenPipeline) -> list[nn.Module]:
    return [part for part in pipeline.components.values() if isinstance(part, nn.Module)]


def _dtype(flags: Flags, device: torch.device) -> str:
    """Return the dtype that loading onto the device itself would choose."""
    return flags.dtype or ("float16" if device.type == "cuda" else "float32")


def load_kinds(source: str, flags: Flags) -> dict[str, GligenPipeline]:
    """Load the kinds that the flags ask for, or leave open and the source holds."""
    if source == OFFICIAL:
        # As in the original: generation unless it is refused, all others when they are asked for.
        kinds = [k for k, said in flags.load.items() if said or (said is None and k == GENERATION)]
    elif all(said is False for said in flags.load.values()):
        kinds = []
    else:
        # The layers of canny and depth are the same; only who names the file knows which it is.
        named = [kind for kind in ("canny", "depth") if flags.load[kind]]
        kinds = named if named and Path(source).is_file() else None
    if kinds == []:
        return {}
    found = load_pipelines(
        source,
        kinds,
        flags.base,
        flags.device,
        flags.dtype,
        trained_on=flags.trained_on,
        projection=flags.projection,
    )
    return {kind: pipe for kind, pipe in found.items() if flags.load.get(kind) is not False}


def add_safety(source: str, pipelines: Mapping[str, GligenPipeline], flags: Flags) -> list[str]:
    """Put the safety checker onto released models unless it is refused; return what to say.

    Raises:
        ValueError: it cannot be had.
    """
    if not pipelines or not is_released(source):
        return []
    if not flags.checks_safety:
        return [texts.CHECKER_IS_OFF]
    unet = next(iter(pipelines.values())).unet
    try:
        checker = load_safety_checker(unet.device, unet.dtype)
    except ValueError as error:
        raise ValueError(texts.NO_CHECKER.format(error=error)) from None
    check_pictures_of(pipelines.values(), checker)
    return [texts.CHECKER_IS_ON]


def _lacking(source: str, flags: Flags, pipelines: Mapping[str, GligenPipeline]) -> list[str]:
    """Return the kinds that were not refused and still are not there."""
    if source == OFFICIAL:
        return []
    return [
        kind for kind, said in flags.load.items() if said is not False and kind not in pipelines
    ]


def _notes(flags: Flags, pipelines: Mapping[str, GligenPipeline]) -> list[str]:
    missing = [kind for kind, said in flags.load.items() if said and kind not in pipelines]
    return [
        f"This model does not hold {kind}, which was asked for; name one that does with --model."
        for kind in missing
    ]


def default_options(flags: Flags) -> Options:
    """Return the first values of the page's settings."""
    tau = None if flags.alpha_scale else 0.0
    return Options(guidance_scale=flags.guidance_scale, tau=tau, **first_values(flags.preset))


def serving_of(flags: Flags) -> tuple[Serving, str]:
    """Return how to serve the page, and a sentence if a wanted public link cannot be made."""
    in_notebook = any(os.environ.get(name) for name in NOTEBOOK_VARIABLES)
    share = in_notebook if flags.share is None else flags.share
    note = ""
    if share and not _can_reach(SHARE_HOST):
        share = False
        note = (
            f"No public link was made: {SHARE_HOST} cannot be reached from here. The page is "
            "served on this machine only."
        )
    serving = Serving(
        server_name=flags.server_name,
        server_port=flags.server_port,
        share=share,
        auth=flags.auth,
        has_mcp=flags.mcp,
        max_waiting=flags.max_queue,
        can_be_embedded=in_notebook,
    )
    return serving, note


def desk_of(flags: Flags, card: ModelCard) -> Desk:
    """Return the limits and the line that the flags ask for, or the device is good for."""
    most = flags.max_batch or _usual_batch(torch.device(card.device))
    if card.max_batch is not None:
        most = min(most, card.max_batch)
    return Desk(Line(flags.max_queue, max_batch=most), RateLimit(flags.rate_limit))


def _usual_batch(device: torch.device) -> int:
    return MAX_BATCH_CUDA if device.type == "cuda" else MAX_BATCH


def check_flags(flags: Flags) -> None:
    """Refuse what could only fail later.

    Raises:
        ValueError: pictures cannot be kept where the flags say, or a package is missing.
    """
    if flags.mcp and importlib.util.find_spec("mcp") is None:
        raise ValueError(texts.MCP_IS_MISSING)
    if flags.folder is None:
        return
    try:
        flags.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=flags.folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        sentence = texts.FOLDER_IS_BAD.format(folder=str(flags.folder), reason=reason)
        raise ValueError(sentence) from None


def _can_reach(host: str) -> bool:
    try:
        socket.create_connection((host, 443), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
