"""Features of texts and pictures on disk, so that an encoder sees each of them once.

No model is loaded here: the caller gives a function that encodes what is missing. A feature is
stored under a key of the content (the text, or the pixels) and of the encoder's fingerprint; what
changes gets another key, so nothing that is stored can be out of date.

Shapes: N items, C numbers of a feature (or whatever shape the encoder gives).
"""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

Item = TypeVar("Item")


def fingerprint(encoder: nn.Module, *settings: object) -> str:
    """Return a name for what an encoder computes: its weights, and settings given beside them.

    Args:
        encoder: every parameter and buffer counts, by name, type, shape and value.
        settings: whatever else decides the features, such as the tokenizer's name or which layer is
            taken; as `str` writes it.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    for setting in settings:
        digest.update(f"{setting}\0".encode())
    return digest.hexdigest()[:32]


class FeatureCache:
    """A folder of features of one encoder; any number of processes may use it at once.

    Args:
        folder: is made where it is missing.
        encoder: what `fingerprint` returned for the encoder.
        batch_size: the most items that are encoded at once; each batch is stored as it is done.

    Raises:
        ValueError: `batch_size` is below 1.
    """

    def __init__(self, folder: str | os.PathLike[str], encoder: str, batch_size: int = 64):
        if batch_size < 1:
            raise ValueError(f"The batch size is {batch_size}; it must be 1 or more.")
        self.folder = Path(folder)
        self.encoder = encoder
        self.batch_size = batch_size

    def of_texts(
        self, texts: Sequence[str], encode: Callable[[list[str]], Tensor]
    ) -> Float[Tensor, "N ..."]:
        """Return the feature of each text, in float32 on the CPU.

        Args:
            texts: at least one; those that occur twice are encoded once.
            encode: gives one feature for each of the texts that are not stored yet.

        Raises:
            ValueError: there are no texts; or the encoder gives another number of features, or
                ones that are not finite.
        """
        return self._of(list(texts), [b"text\0" + text.encode() for text in texts], encode)

    def of_pictures(
        self, pictures: Sequence[Image.Image], encode: Callable[[list[Image.Image]], Tensor]
    ) -> Float[Tensor, "N ..."]:
        """Return the feature of each picture, as `of_texts`; their pixels are their content."""
        return self._of(list(pictures), [_content(picture) for picture in pictures], encode)

    def _of(
        self, items: list[Item], contents: list[bytes], encode: Callable[[list[Item]], Tensor]
    ) -> Tensor:
        if not items:
            raise ValueError("There is nothing to encode; give at least one text or picture.")
        paths = [self._path(content) for content in contents]
        found: dict[Path, Tensor] = {}
        missing: dict[Path, Item] = {}
        for path, item in zip(paths, items, strict=True):
            if path in found or path in missing:
                continue
            feature = _read(path)
            if feature is None:
                missing[path] = item
            else:
                found[path] = feature
        waiting = list(missing)
        for start in range(0, len(waiting), self.batch_size):
            batch = waiting[start : start + self.batch_size]
            features = _checked(encode([missing[path] for path in batch]), len(batch))
            for path, feature in zip(batch, features, strict=True):
                _write(path, feature)
                found[path] = feature
        return torch.stack([found[path] for path in paths])

    def _path(self, content: bytes) -> Path:
        key = hashlib.sha256(self.encoder.encode() + b"\0" + content).hexdigest()
        return self.folder / key[:2] / f"{key[2:]}.npy"


def _content(picture: Image.Image) -> bytes:
    palette = bytes(picture.getpalette() or ()) if picture.mode == "P" else b""
    return f"picture {picture.mode} {picture.size}\0".encode() + palette + picture.tobytes()


def _checked(features: Tensor, count: int) -> Tensor:
    """Return the features in float32 on the CPU, if there is a finite one for each item."""
    if features.ndim < 2 or len(features) != count:
        raise ValueError(
            f"The encoder was given {count} items and returned a tensor of shape "
            f"{tuple(features.shape)}; its first dimension must be the items, then the features."
        )
    features = features.detach().to("cpu", torch.float32)
    if not features.isfinite().all():
        raise ValueError(
            "The encoder gave features that are not finite, and they were not stored; run it in "
            "float32, or look for what it was given."
        )
    return features


def _read(path: Path) -> Tensor | None:
    """Return the feature, None where there is none or its file is damaged."""
    try:
        array = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(array)


def _write(path: Path, feature: Tensor) -> None:
    buffer = io.BytesIO()
    np.save(buffer, feature.numpy(), allow_pickle=False)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(buffer.getvalue())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"The feature cannot be stored in {str(path.parent)!r} ({error.strerror or error}); "
            "choose a folder that can be written to, on a disk with room."
        ) from None
