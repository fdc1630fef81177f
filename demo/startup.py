"""From the flags to how the page is served, and to what it says of the model. Without torch."""

import importlib.util
import os
import socket
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from demo.app import Serving
from demo.calls import first_values
from demo.desk import Desk
from demo.flags import Flags
from demo.handlers import Options
from demo.knowing import EMBEDDED_NAMES
from demo.line import Line
from demo.rate import RateLimit
from demo.service import ModelCard
from demo.texts import operations as texts
from gligen.embedded import EMBEDDED, OFFICIAL, embedded_facts
from gligen.pictures.ade import NAMES

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


def early_card(flags: Flags) -> ModelCard | None:
    """Return what the page says of the model, where that is certain before anything is loaded.

    It is where the embedded model is asked for, or is all that this machine can run. None: only
    loading tells.
    """
    is_certain = flags.device == "cpu" or (flags.device is None and not _may_have_gpu())
    if not is_certain or flags.base is not None or flags.device_budget is not None:
        return None
    choice = choose_model(flags, has_cuda=False)
    if choice.source != EMBEDDED:
        return None
    facts = embedded_facts()
    is_left_out = all(said is False for said in flags.load.values())
    kinds = [k for k in facts.kinds if not is_left_out and flags.load.get(k) is not False]
    labels = facts.label_names if "semantic" in kinds else ()
    return card_of(choice, flags, "cpu", dict.fromkeys(kinds, facts.image_size), labels)


def _may_have_gpu() -> bool:
    """Return whether torch may find a GPU; told by its version, because to import it takes long."""
    return not version("torch").endswith("+cpu")


def card_of(
    choice: Choice,
    flags: Flags,
    device: str,
    image_sizes: Mapping[str, tuple[int, int]],
    label_names: Sequence[str],
    notes: Sequence[str] = (),
    max_batch: int | None = None,
) -> ModelCard:
    """Return what the page says of a model.

    Args:
        choice: which it is.
        flags: that asked for it.
        device: that it is on.
        image_sizes: width and height in pixels of the pictures of each kind.
        label_names: of its semantic maps; empty: the usual ones.
        notes: further sentences for the page.
        max_batch: pictures that memory holds at once; None: not counted.
    """
    return ModelCard(
        name=choice.source if flags.base is None else f"{choice.source} on {flags.base}",
        reason=choice.reason,
        device=device,
        image_sizes=image_sizes,
        notes=(*_notes(flags, image_sizes), *notes),
        max_batch=max_batch,
        lacking=frozenset(_lacking(choice.source, flags, image_sizes)),
        label_names=tuple(label_names) or NAMES,
        known_names=EMBEDDED_NAMES if choice.source == EMBEDDED else (),
    )


def _lacking(source: str, flags: Flags, kinds: Collection[str]) -> list[str]:
    """Return the kinds that were not refused and still are not there."""
    if source == OFFICIAL:
        return []
    return [kind for kind, said in flags.load.items() if said is not False and kind not in kinds]


def _notes(flags: Flags, kinds: Collection[str]) -> list[str]:
    missing = [kind for kind, said in flags.load.items() if said and kind not in kinds]
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
    most = flags.max_batch or usual_batch(card.device)
    if card.max_batch is not None:
        most = min(most, card.max_batch)
    return Desk(Line(flags.max_queue, max_batch=most), RateLimit(flags.rate_limit))


def usual_batch(device: str) -> int:
    """Return how many pictures of several people are painted together on a device."""
    return MAX_BATCH_CUDA if device.startswith("cuda") else MAX_BATCH


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
