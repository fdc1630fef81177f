"""The models that GLIGEN's authors released, as the files of `configs/` describe them."""

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True)
class ReleasedModel:
    """One file of `configs/`."""

    kind: str
    diffusers_id: str  # hub id of a diffusers folder
    official_id: str  # hub id of the authors' own checkpoint
    official_file: str  # its file there
    tokenizer_id: str  # hub id of the tokenizer, which the authors' checkpoint lacks
    in_channels: int  # of the first convolution
    token_width: int  # of a grounding token, and of the phrase feature
    slots: int  # grounding tokens, padded
    image_size: int  # pixels, trained at


def released_model(kind: str) -> ReleasedModel:
    """Return what is known of the released model of a kind.

    Raises:
        ValueError: no such kind, or its file does not have exactly the fields of `ReleasedModel`.
    """
    known = sorted(path.stem for path in CONFIGS.glob("*_text_box.yaml"))
    if kind not in known:
        raise ValueError(
            f"There is no released model of kind {kind!r}; there are: {', '.join(known) or 'none'}."
        )
    values = yaml.safe_load((CONFIGS / f"{kind}.yaml").read_text(encoding="utf-8"))
    wanted = {field.name for field in fields(ReleasedModel)}
    if set(values) != wanted:
        raise ValueError(
            f"configs/{kind}.yaml must have exactly the keys {', '.join(sorted(wanted))}; it "
            "differs in "
            f"{', '.join(sorted(wanted ^ set(values)))}."
        )
    return ReleasedModel(**values)
