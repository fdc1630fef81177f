"""Reading diffusers folders: configs and weights of the parts.

Weights may be in full or half precision, sharded or not, safetensors or pickles of weights. Parts
are read as named tensors and built elsewhere (`gligen.weights.parts`), so that what several
models have in common is in memory once, and so that damage gets a sentence that names the file.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gligen.kinds import KINDS
from gligen.references import read_projection
from gligen.weights.adapters import Adapter
from gligen.weights.building import check_base
from gligen.weights.checkpoints import WholeModel, read_checkpoint, recorded_kind
from gligen.weights.conversion import State
from gligen.weights.partnames import modern_vae_state, plain_text_state
from gligen.weights.recognition import detect_kind
from gligen.weights.weightfiles import read_flat_weights

# What diffusers and transformers call the weights of a part; the last is transformers' old name.
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
FORMATS = ("safetensors", "bin")


def read_folder(folder: Path, *hints: str) -> WholeModel:
    """Read a diffusers folder.

    Args:
        folder: with `model_index.json`.
        hints: kinds that it may be, where its layers do not tell.

    Raises:
        ValueError: it is no such folder, incomplete, damaged, or of another family.
    """
    index = read_json(folder, "model_index.json")
    config = read_json(folder, "unet/config.json")
    check_base(config)
    for part in ("vae", "text_encoder"):
        if part not in index or not (folder / part).is_dir():
            raise ValueError(
                f"The model folder {str(folder)!r} has no {part}; download the whole model again."
            )
    unet = read_part(folder, "unet")
    vae = read_json(folder, "vae/config.json"), modern_vae_state(read_part(folder, "vae"))
    text_config, text = (
        read_json(folder, "text_encoder/config.json"),
        read_part(folder, "text_encoder"),
    )
    projection = None
    if (folder / "image_project").is_dir():
        matrix = read_projection(find_weights(folder, "image_project")[0])
        projection = matrix.T.contiguous()
    recorded = config.get("gligen_kind")
    try:
        return WholeModel(
            detect_kind(unet, *((recorded,) if recorded else hints)),
            unet=(config, unet),
            vae=vae,
            text_encoder=(text_config, plain_text_state(text)),
            projection=projection,
            folder=folder,
        )
    except ValueError as error:
        raise ValueError(f"The model folder {str(folder)!r} cannot be used. {error}") from None


def read_folder_adapters(folder: Path, wanted: Collection[str] | None = None) -> list[Adapter]:
    """Return the adapters in a folder's `adapters/`.

    Args:
        folder: of a model.
        wanted: kinds that are asked for; the files of others are not read; None: all.

    Raises:
        ValueError: one cannot be read, or is no adapter.
    """
    adapters = []
    for file in sorted((folder / "adapters").glob("*.safetensors")):
        recorded = recorded_kind(file)
        if wanted is not None and recorded in KINDS and recorded not in wanted:
            continue
        content = read_checkpoint(file)
        if not isinstance(content, Adapter):
            raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
                f"The file {str(file)!r} is a whole model; 'adapters' holds the new layers alone."
            )
        adapters.append(content)
    return adapters


def read_part(folder: Path, part: str) -> State:
    """Read the weights of a part, from however many files.

    Raises:
        ValueError: there are none, or they are damaged.
    """
    state: State = {}
    for file in find_weights(folder, part):
        state |= read_flat_weights(file)
    return state


def find_weights(folder: Path, part: str) -> list[Path]:
    """Return the files with the weights of a part; full precision before half, if both are there.

    Raises:
        ValueError: there are none, or a file that the index names is missing.
    """
    place = folder / part
    for variant in ("", ".fp16"):
        for extension in FORMATS:
            for stem in STEMS:
                whole = place / f"{stem}{variant}.{extension}"
                if whole.is_file():
                    return [whole]
                index = place / f"{stem}.{extension}.index{variant}.json"
                if index.is_file():
                    return _shards(index)
    raise ValueError(
        f"The model folder {str(folder)!r} has no weights in {part!r} (such as "
        f"{STEMS[0]}.safetensors); download the whole model again."
    )


def _shards(index: Path) -> list[Path]:
    table = read_json(index.parent, index.name).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ValueError(f"The file {str(index)!r} is damaged: it has no weight_map.")
    names = sorted({str(name) for name in table.values()})
    for name in names:
        # A name, never a path: an index must not lead out of its folder.
        if Path(name).name != name or not (index.parent / name).is_file():
            raise ValueError(
                f"The file {str(index)!r} names {name!r}, which is not beside it; download the "
                "whole model again."
            )
    return [index.parent / name for name in names]


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of a model folder.

    Raises:
        ValueError: it is missing or damaged.
    """
    path = folder / name
    if not path.is_file():
        raise ValueError(
            f"The folder {str(folder)!r} is not a diffusers model: it has no {name}; name the "
            "folder that contains model_index.json."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"The file {str(path)!r} is damaged ({error}); download it again."
        ) from None
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"The file {str(path)!r} is damaged: not a JSON object; download it again."
        )
    return content
