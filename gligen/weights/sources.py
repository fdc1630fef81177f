"""Reading what a place on disk offers: a whole model, the adapters on it, or both.

A place is a file or a folder of any form that `gligen.weights.checkpoints` and
`gligen.weights.folders` know.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from gligen.weights.adapters import Adapter, Base, FirstWeights
from gligen.weights.building import check_base
from gligen.weights.checkpoints import WholeModel, read_checkpoint, read_first_weights
from gligen.weights.folders import read_folder, read_folder_adapters, read_json, read_part
from gligen.weights.recognition import BASE_FIRST, TRAINED_FIRST


@dataclass(frozen=True)
class Source:
    """What a place offers."""

    place: Path
    model: WholeModel | None  # None: an adapter file
    adapters: dict[str, Adapter]  # by kind; the new layers of the model's own UNet included

    @property
    def base(self) -> Base | None:
        """The frozen UNet of the model, None for an adapter file."""
        return None if self.model is None else self.model.split()[0]


def read_source(place: Path, wanted: Collection[str] | None = None) -> Source:
    """Read a file or folder.

    Args:
        place: an official checkpoint, a single-file base, an adapter, a diffusers folder, or a
            folder with adapters in `adapters/`.
        wanted: kinds that are asked for; others in a folder are left out, and where layers do not
            tell which kind they are of, these do.

    Raises:
        ValueError: it is none of these, or damaged; one sentence says why.
    """
    hints = tuple(wanted or ())
    if place.is_dir():
        model = read_folder(place, *hints)
        adapters = read_folder_adapters(place, wanted)
    else:
        content = read_checkpoint(place, *hints)
        if isinstance(content, Adapter):
            return Source(place, None, {content.kind: content})
        model, adapters = content, []
    _, own = model.split()
    if own is not None:
        adapters = [own, *adapters]
    if model.projection is not None:
        adapters = [
            adapter
            if adapter.projection is not None
            else replace(adapter, projection=model.projection)
            for adapter in adapters
        ]
    return Source(place, model, {adapter.kind: adapter for adapter in adapters})


def read_original(place: Path) -> FirstWeights:
    """Read the first convolution of a plain base: a model, or the authors' file of it alone.

    Raises:
        ValueError: it cannot be read, or is no plain base.
    """
    if place.is_dir():
        check_base(read_json(place, "unet/config.json"))
        state = read_part(place, "unet")
        names = BASE_FIRST if BASE_FIRST[0] in state else TRAINED_FIRST
        if names[0] in state and state[names[0]].shape[1] == state["conv_out.weight"].shape[0]:
            return FirstWeights(*(state[name] for name in names))
    else:
        alone = read_first_weights(place)
        if alone is not None:
            return alone
        content = read_checkpoint(place, "canny")
        if isinstance(content, WholeModel):
            first = content.split()[0].first
            if first is not None:
                return first
    raise ValueError(
        f"The first convolution of {str(place)!r} is not that of a plain base; name the plain "
        "Stable Diffusion 1.x model, or the authors' file SD_input_conv_weight_bias.pth."
    )
