"""What a conversion works with: what was asked for, and what was read for it.

The conversion itself is in `gligen.weights.converting`.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gligen.kinds import TEXT_IMAGE_BOX, kind_named
from gligen.loading import choose_dtype, locate
from gligen.references import read_projection
from gligen.weights.adapters import Adapter, put_on, same_base
from gligen.weights.checkpoints import WholeModel, read_first_weights
from gligen.weights.conversion import State
from gligen.weights.sources import Source, read_original, read_source

TARGETS = ("diffusers", "adapter", "official", "gligen")
NAMES = ("diffusers", "comfyui")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Conversion:
    """What to convert into what."""

    source: str | Path  # file, folder, hub id or "embedded"
    target: Path  # file for adapter and official, folder for diffusers and gligen
    to: str  # one of TARGETS
    kind: str | None = None  # which of several; tells canny from depth
    base: str | Path | None = None  # a model to put the new layers on
    trained_on: str | Path | None = None  # the base that an adapter without its convolution had
    projection: str | Path | None = None  # the authors' file of the text-image kinds
    tokenizer: str | Path | None = None  # folder or hub id, where the source has none
    names: str = NAMES[0]  # of an adapter's weights
    dtype: str | None = None  # None: as they are
    force: bool = False  # replace what is there

    def __post_init__(self):
        if self.to not in TARGETS:
            raise ValueError(f"There is no form {self.to!r}; the forms are {', '.join(TARGETS)}.")
        if self.names not in NAMES:
            raise ValueError(f"There are no names {self.names!r}; take {' or '.join(NAMES)}.")
        if self.names != NAMES[0] and self.to != "adapter":
            raise ValueError(f"The names {self.names!r} are for adapters; leave them out.")
        if self.kind is not None:
            kind_named(self.kind)


@dataclass(frozen=True)
class Material:
    """What was read: a home with the frozen parts, and adapters to put on it."""

    home: Source
    adapters: dict[str, Adapter]
    at_home: bool  # the home's own adapters, trained on that very base


def read_material(conversion: Conversion) -> Material:
    """Read the source, and what else was named.

    Raises:
        ValueError: something cannot be read, or the kind asked for is not there.
    """
    wanted = None if conversion.kind is None else (conversion.kind,)
    source = read_source(locate(conversion.source), wanted)
    home, original = source, None
    if conversion.base is not None:
        place = locate(conversion.base)
        original = read_first_weights(place) if place.is_file() else None
        home = source if original is not None else read_source(place, ())
        if home.model is None:
            raise ValueError(f"The base {str(place)!r} is an adapter; name a whole model.")
    if conversion.trained_on is not None:
        original = read_original(locate(conversion.trained_on))
    if wanted is not None and conversion.kind not in source.adapters and source.adapters:
        raise ValueError(
            f"The model {str(conversion.source)!r} holds {' and '.join(source.adapters)}, not "
            f"{conversion.kind}; ask for what it holds."
        )
    adapters = {
        kind: _completed(conversion, adapter, home, original, at_home=home is source)
        for kind, adapter in source.adapters.items()
        if wanted is None or kind in wanted
    }
    return Material(home, adapters, home is source)


def _completed(
    conversion: Conversion, adapter: Adapter, home: Source, original: Any, *, at_home: bool
) -> Adapter:
    """Add to an adapter what is known from elsewhere: base's convolution, projection matrix."""
    base = home.base
    known = adapter.original or original
    if known is None and base is not None and (at_home or same_base(base, adapter)):
        known = base.first
    projection = adapter.projection
    if conversion.projection is not None and reads_pictures(adapter.kind):
        matrix = read_projection(locate(conversion.projection), adapter.feature_width)
        projection = matrix.T.contiguous()
    return replace(adapter, original=known, projection=projection)


def one_adapter(conversion: Conversion, material: Material) -> Adapter:
    """Return the adapter to convert.

    Raises:
        ValueError: there is none, or there are several.
    """
    if len(material.adapters) == 1:
        return next(iter(material.adapters.values()))
    if not material.adapters:
        raise ValueError(
            f"The model {str(conversion.source)!r} is a plain Stable Diffusion model without "
            f"GLIGEN's layers; there is nothing to write as {conversion.to}."
        )
    raise ValueError(
        f"The model {str(conversion.source)!r} holds {', '.join(material.adapters)}; say which to "
        "convert with --kind (kind=...)."
    )


def whole_model(conversion: Conversion, material: Material) -> WholeModel:
    """Return the home's model, with all its parts.

    Raises:
        ValueError: there is only an adapter, or a part is missing.
    """
    model = material.home.model
    if model is None:
        raise ValueError(
            f"The file {str(material.home.place)!r} is an adapter, the new layers alone, and the "
            f"form {conversion.to} holds a whole model; name the Stable Diffusion 1.x model to put "
            "them on with --base (base=...)."
        )
    if model.vae is None or model.text_encoder is None:
        raise ValueError(
            f"The file {str(material.home.place)!r} has a UNet but not all other parts; name the "
            "Stable Diffusion 1.x model that has them with --base (base=...)."
        )
    return model


def grounded_state(
    conversion: Conversion, material: Material, adapter: Adapter
) -> tuple[dict[str, Any], State]:
    """Return config and weights of the UNet that an adapter and its home give.

    Raises:
        ValueError: a part is missing, or the two do not fit each other.
    """
    base, _ = whole_model(conversion, material).split()
    base = base.to(CPU, dtype_of(conversion))
    return put_on(base, adapter, adapter.original, at_home=material.at_home)


def reads_pictures(kind: str) -> bool:
    """Whether models of a kind read reference pictures."""
    return kind_named(kind).modality == TEXT_IMAGE_BOX


def dtype_of(conversion: Conversion) -> torch.dtype | None:
    """Return the precision to write in, None to leave weights as they are."""
    return None if conversion.dtype is None else choose_dtype(conversion.dtype, CPU)
