"""The models that GLIGEN's authors released, as the files of `configs/` describe them."""

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from gligen.kinds import KINDS

# Beside the package in a checkout; an installation has a copy inside it.
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE.parent / "configs", _PACKAGE / "configs")


@dataclass(frozen=True)
class ReleasedModel:
    """One file of `configs/`."""

    kind: str
    diffusers_id: str | None  # hub id of a diffusers folder; None: there is none
    official_id: str  # hub id of the authors' own checkpoint
    official_file: str  # its file there
    base_id: str  # hub id of the Stable Diffusion that it was trained on
    tokenizer_id: str  # hub id of the tokenizer, which the authors' checkpoint lacks
    image_encoder_id: str | None  # hub id of what reads reference pictures; None: not needed
    in_channels: int  # of the first convolution
    token_width: int  # of a grounding token
    slots: int  # what it can be grounded on at most: regions, joints, cells of a map
    image_size: int  # pixels, trained at


def released_model(kind: str) -> ReleasedModel:
    """Return what is known of the released model of a kind.

    Raises:
        ValueError: no such kind, or its file does not have exactly the fields of `ReleasedModel`.
    """
    folder = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    path = folder / f"{kind}.yaml"
    if kind not in KINDS or not path.is_file():
        known = [name for name in KINDS if (folder / f"{name}.yaml").is_file()]
        raise ValueError(
            f"There is no released model of kind {kind!r}; there are: {', '.join(known) or 'none'}."
        )
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted = {field.name for field in fields(ReleasedModel)}
    if set(values) != wanted:
        raise ValueError(
            f"configs/{kind}.yaml must have exactly the keys {', '.join(sorted(wanted))}; it "
            f"differs in {', '.join(sorted(wanted ^ set(values)))}."
        )
    return ReleasedModel(**values)
