"""What the page needs from the library: a model's card, pictures step by step, and previews."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from demo.flags import LOADS
from gligen.kinds import kind_named
from gligen.pictures.ade import NAMES
from gligen.request import Request, Result

if TYPE_CHECKING:  # they import torch, and the page is served before it is there
    from gligen.batching import Event
    from gligen.pipeline import GligenPipeline
    from gligen.sampling import Step

GENERATION = "generation_text_box"
INPAINTING = "inpainting_text_box"
IMAGE_GENERATION = "generation_text_image_box"
IMAGE_INPAINTING = "inpainting_text_image_box"
KEYPOINT = "keypoint"

# As it is written to load the kind, named where a tab has to do without it.
FLAGS = {kind: f"{flag} True" for kind, (flag, _) in LOADS.items()}


@dataclass(frozen=True)
class ModelCard:
    """What the page says about the model."""

    name: str  # "embedded", a path or a hub id
    reason: str  # why this one, a full sentence
    device: str  # "cpu", "cuda", ...
    image_sizes: Mapping[str, tuple[int, int]] = field(
        default_factory=dict
    )  # kind -> width, height
    notes: tuple[str, ...] = ()  # further sentences for the page
    lacking: frozenset[str] = frozenset()  # kinds that this model does not hold at all
    label_names: tuple[str, ...] = NAMES  # of the labels of its semantic maps
    max_batch: int | None = None  # pictures that memory holds at once; None: not counted
    known_names: tuple[str, ...] = ()  # all that it can paint; empty: it takes any words

    def has(self, kind: str) -> bool:
        """Whether pictures of this kind can be made."""
        return kind in self.image_sizes

    def way_to(self, kind: str) -> str:
        """Return the flags that load a kind: another model's where this one does not hold it."""
        return f"--model official {FLAGS[kind]}" if kind in self.lacking else FLAGS[kind]

    def tau(self, kind: str) -> float:
        """Return the share of the steps that follow the grounding unless a person says another."""
        return kind_named(kind).usual_tau


class SharedStream(Protocol):
    """Several requests on their way, as `gligen.batching.Together`."""

    def __next__(self) -> "Event":
        """Return the next event, with the number of its request."""
        ...

    def leave(self, number: int) -> None:
        """Take a request out; may be called while the next event is computed."""
        ...

    def close(self) -> None:
        """Stop the work."""
        ...


class PictureService(Protocol):
    """Makes pictures for the page."""

    @property
    def card(self) -> ModelCard:
        """Say which model is in use."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the model is there; requests before that wait for it."""
        ...

    def stream(self, kind: str, request: Request) -> Iterator["Step | Result"]:
        """Yield a `Step` after each denoising step, then one `Result`.

        Closing the iterator early stops the work.
        """
        ...

    def preview(self, kind: str, step: "Step") -> list[Image.Image]:
        """Return the pictures as a step sees them."""
        ...

    def sharing(self, kind: str, request: Request) -> Hashable | None:
        """Return what requests of a kind must have in common to be painted together.

        None: this one is painted alone.
        """
        ...

    def stream_together(self, kind: str, requests: Sequence[Request]) -> SharedStream:
        """Paint requests that have the same `sharing`, each as `stream` does."""
        ...


class LocalService:
    """Makes pictures with pipelines in this process."""

    is_ready = True

    def __init__(self, pipelines: Mapping[str, "GligenPipeline"], card: ModelCard):
        self._pipelines = pipelines
        self.card = card

    def stream(self, kind: str, request: Request) -> Iterator["Step | Result"]:
        """See `PictureService.stream`."""
        return self._pipelines[kind].stream(request)

    def preview(self, kind: str, step: "Step") -> list[Image.Image]:
        """See `PictureService.preview`."""
        return self._pipelines[kind].decode_preview(step.predicted)

    def sharing(self, kind: str, request: Request) -> Hashable | None:
        """See `PictureService.sharing`."""
        return self._pipelines[kind].sharing_key(request)

    def stream_together(self, kind: str, requests: Sequence[Request]) -> SharedStream:
        """See `PictureService.stream_together`."""
        return self._pipelines[kind].stream_together(requests)
