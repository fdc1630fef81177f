"""What can be known of the embedded model from its small files, without loading it or torch."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from safetensors import safe_open

from gligen.kinds import KINDS

# Models that have a name and no place of their own
EMBEDDED = "embedded"
OFFICIAL = "official"


@dataclass(frozen=True)
class EmbeddedFacts:
    """What the embedded model is."""

    kinds: tuple[str, ...]  # that it holds, in the order of `gligen.kinds.KINDS`
    image_size: tuple[int, int]  # width and height in pixels that it was trained at
    label_names: tuple[str, ...]  # of its semantic maps


def embedded_folder() -> Path:
    """Return the folder of the model that comes with the package.

    Raises:
        ValueError: this installation came without it.
    """
    folder = Path(str(resources.files("gligen") / "models" / "embedded"))
    if not (folder / "model_index.json").is_file():
        raise ValueError(
            "The embedded model is not part of this installation; install from the repository, or "
            "name another model."
        )
    return folder


def embedded_facts() -> EmbeddedFacts:
    """Read what the embedded model is.

    Raises:
        ValueError: this installation came without it.
    """
    folder = embedded_folder()
    notes = dict(map(_read_header, folder.glob("adapters/*")))
    side = _read(folder / "unet")["sample_size"]
    side *= 2 ** (len(_read(folder / "vae")["block_out_channels"]) - 1)
    return EmbeddedFacts(
        kinds=tuple(kind for kind in KINDS if kind in notes),
        image_size=(side, side),
        label_names=tuple(notes.get("semantic", {}).get("labels", ())),
    )


def _read(part: Path) -> dict:
    return json.loads((part / "config.json").read_text(encoding="utf-8"))


def _read_header(adapter: Path) -> tuple[str, dict]:
    with safe_open(adapter, framework="numpy") as file:
        header = json.loads(file.metadata()["gligen"])
    return header["kind"], header.get("notes") or {}
