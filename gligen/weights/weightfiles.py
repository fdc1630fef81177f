"""Opening a file of weights, whatever it is, without ever executing what it contains.

Answers with named tensors, in sections where the file has them, or with one sentence that says what
is wrong. What the names mean is decided in `gligen.weights.checkpoints`.
"""

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

# Classes that training scripts leave beside the weights: the original's own config objects, and
# what PyTorch Lightning adds to Stable Diffusion's .ckpt files. Each is replaced by a stand-in that
# only remembers the plain values it was saved with; the classes themselves need not be installed
# and are never called.
INERT_CLASSES = (
    "omegaconf.",
    "pytorch_lightning.",
    "typing.Any",
    "builtins.dict",
    "builtins.list",
    "builtins.int",
    "builtins.float",
    "builtins.str",
    "builtins.bool",
    "collections.defaultdict",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)

# Where the trainer's config names the class of the grounding tokenizer, the one thing read of it.
TOKENIZER_SETTING = ("model", "params", "grounding_tokenizer", "target")

# The parts of a whole model, and the prefixes that single-file Stable Diffusion models give them.
SECTIONS = ("model", "autoencoder", "text_encoder", "diffusion")
SINGLE_FILE_PREFIXES = {
    "model.diffusion_model.": "model",
    "first_stage_model.": "autoencoder",
    "cond_stage_model.": "text_encoder",
}


@dataclass(frozen=True)
class WeightFile:
    """The tensors of one file."""

    path: Path
    sections: dict[
        str, dict[str, Tensor]
    ]  # section -> key -> tensor; "" for a file without sections
    metadata: dict[str, str] = field(default_factory=dict)  # of a safetensors file
    tokenizer_class: str = ""  # of the grounding tokenizer, where the authors' trainer recorded it
    left_out: tuple[str, ...] = ()  # first parts of the names of what is in no section


def read_weight_file(path: str | Path) -> WeightFile:
    """Read a .safetensors, .bin, .pth or .ckpt file, recognised by its contents.

    Raises:
        ValueError: there is no such file; it is empty, truncated, not a file of weights, or a
            pickle that holds anything but weights. No code in it is run.
    """
    path = Path(path)
    tensors, metadata = _open(path)
    tokenizer_class = _recorded_tokenizer(tensors.get("config_dict"))
    sections = _split(tensors)
    if not any(sections.values()):
        raise ValueError(f"The file {str(path)!r} holds no weights; give a file of a model.")
    for name, section in sections.items():
        if name != "diffusion":  # the schedule's tables, which nobody reads
            check_finite(str(path), section)
    return WeightFile(path, sections, metadata, tokenizer_class, _left_out(tensors))


def read_flat_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a file of weights without sections, as diffusers' folders have them.

    Raises:
        ValueError: as `read_weight_file`.
    """
    path = Path(path)
    tensors = _tensors(_open(path)[0])
    if not tensors:
        raise ValueError(f"The file {str(path)!r} holds no weights; give a file of a model.")
    check_finite(str(path), tensors)
    return tensors


def _open(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a file holds by name, and the metadata of a safetensors file."""
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}; check the path.")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ValueError(f"The file {str(path)!r} is empty (0 bytes); download it again.")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"The file {str(path)!r} is a Git LFS pointer, not the model; run 'git lfs pull' or "
            "download the file itself."
        )
    if head[8:9] == b"{":
        return _read_safetensors(path)
    if head.startswith((b"PK", b"\x80")):
        return _named(path, _read_torch(path)), {}
    raise ValueError(
        f"The file {str(path)!r} is not a model: it begins with {head[:16]!r}. Give a "
        ".safetensors, .bin, .pth or .ckpt file of weights."
    )


def read_safetensors_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, without reading its tensors."""
    with safe_open(str(path), "pt") as file:
        return file.metadata() or {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"The safetensors file {str(path)!r} is truncated or damaged ({error}); download it "
            "again."
        ) from None


def _read_torch(path: Path) -> Any:
    is_zip = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings(), _inert_stand_ins(path) if is_zip else _nothing_allowed():
            # What cannot be read is refused below; how likely that was is of no interest.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip or None)
    except (pickle.UnpicklingError, AttributeError) as error:
        raise ValueError(_refusal(path, error)) from None
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, IndexError, TypeError) as error:
        reason = str(error).split("\n")[0].split(". ")[0]
        raise ValueError(
            f"The file {str(path)!r} is truncated or damaged ({reason}); download it again."
        ) from None
    return content


def _named(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"The file {str(path)!r} holds a {type(content).__name__}, not named weights; give "
            "a file of a model."
        )
    nested = content.get("state_dict")
    return dict(nested) if isinstance(nested, Mapping) else dict(content)


def _inert_stand_ins(path: Path) -> AbstractContextManager[Any]:
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    strangers = [name for name in names if not name.startswith(INERT_CLASSES)]
    if strangers:
        raise pickle.UnpicklingError(", ".join(strangers))
    stand_ins: list[Any] = [(type("Inert", (_Inert,), {}), name) for name in names]
    return torch.serialization.safe_globals(stand_ins)


def _nothing_allowed() -> AbstractContextManager[Any]:
    return torch.serialization.safe_globals([])


class _Inert:
    """Takes the place of a class named in a pickle: accepts anything, does nothing.

    It remembers the state it was saved with, itself made of tensors and plain values alone.
    """

    def __new__(cls, *_arguments: Any, **_keywords: Any) -> "_Inert":
        instance = super().__new__(cls)
        instance.state = None
        return instance

    def __init__(self, *_arguments: Any, **_keywords: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass


def _recorded_tokenizer(config: Any) -> str:
    """Return the class that the authors' trainer recorded for the grounding tokenizer, "" for none.

    Their config nodes keep children in `_content` and a leaf's value in `_val`; they may be plain
    dictionaries as well.
    """
    for name in ("", *TOKENIZER_SETTING):
        config = config.get(name) if name and isinstance(config, Mapping) else config
        config = config.state if isinstance(config, _Inert) else config
        if isinstance(config, Mapping) and not config.keys().isdisjoint(("_content", "_val")):
            config = config.get("_content", config.get("_val"))
    return config if isinstance(config, str) else ""


def _refusal(path: Path, error: Exception) -> str:
    text = str(error)
    for phrase in ("GLOBAL ", "Unsupported global: "):
        if phrase in text:
            text = text.split(phrase)[1].split(" was not")[0]
    reason = text.split("\n")[0][:120]
    return (
        f"The file {str(path)!r} was refused: as a pickle it wants to run code or build objects "
        f"other than weights ({reason}), and nothing in it was run. Ask for it as .safetensors."
    )


def _split(content: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Sort the content of a file into sections; what is not a tensor is left behind."""
    nested = {name: content[name] for name in SECTIONS if isinstance(content.get(name), Mapping)}
    if nested:
        return {name: _tensors(section) for name, section in nested.items()}
    flat = _tensors(content)
    if any(key.startswith("model.diffusion_model.") for key in flat):
        return _by_prefix(flat, SINGLE_FILE_PREFIXES)
    dotted = {f"{name}.": name for name in SECTIONS}
    if flat and all(key.startswith(tuple(dotted)) for key in flat):
        return _by_prefix(flat, dotted)
    return {"": flat}


def _left_out(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the first parts of the names of what `_split` puts into no section."""
    if any(isinstance(content.get(name), Mapping) for name in SECTIONS):
        return tuple(name for name in content if name not in SECTIONS)
    names = [name for name in content if isinstance(content[name], Tensor)]
    if any(name.startswith("model.diffusion_model.") for name in names):
        names = [name for name in names if name.startswith(tuple(SINGLE_FILE_PREFIXES))]
    return tuple(dict.fromkeys(name.split(".")[0] for name in content if name not in names))


def _by_prefix(
    flat: Mapping[str, Tensor], prefixes: Mapping[str, str]
) -> dict[str, dict[str, Tensor]]:
    sections = {
        name: {
            key.removeprefix(prefix): tensor
            for key, tensor in flat.items()
            if key.startswith(prefix)
        }
        for prefix, name in prefixes.items()
    }
    return {name: section for name, section in sections.items() if section}


def _tensors(section: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(key): value for key, value in section.items() if isinstance(value, Tensor)}


def check_finite(owner: str, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not numbers.

    Raises:
        ValueError: a weight contains NaN or infinity; the sentence names it and `owner`.
    """
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(
                f"The weights of {owner!r} are damaged: {key} contains NaN or infinity. Download "
                "them again, or train with a lower learning rate."
            )
