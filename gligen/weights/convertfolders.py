"""Writing a model as a folder: diffusers' own, or a plain base with adapters.

A folder is filled under a temporary name and takes its own once it is complete.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gligen.kinds import KEYPOINT, MAP, kind_named
from gligen.pipeline import GligenPipeline
from gligen.weights.adapters import Adapter, ask_for_base, put_on, same_base
from gligen.weights.building import build_unet
from gligen.weights.checkpoints import write_adapter
from gligen.weights.conversion import State
from gligen.weights.convertsource import (
    CPU,
    Conversion,
    Material,
    dtype_of,
    grounded_state,
    one_adapter,
    reads_pictures,
    whole_model,
)
from gligen.weights.parts import Parts, build_parts
from gligen.weights.recognition import check_form, trains_first_convolution
from gligen.weights.vision import build_projection, read_vision


def write_diffusers(
    conversion: Conversion, material: Material, report: Callable[[str], None]
) -> None:
    """Write a diffusers folder, of a grounded model or of a plain one.

    Raises:
        ValueError: diffusers has no pipeline for the kind, or a part is missing.
    """
    if not material.adapters:
        parts = _parts(conversion, material)
        with _new_folder(conversion.target) as folder:
            _pipeline(parts, *parts.base.plain()).save_pretrained(folder)
        return
    adapter = one_adapter(conversion, material)
    if kind_named(adapter.kind).modality in (KEYPOINT, MAP):
        raise ValueError(
            f"A diffusers folder cannot hold the kind {adapter.kind}; convert it to gligen, "
            "adapter or official."
        )
    check_form(adapter.state, "A diffusers folder")
    parts = _parts(conversion, material)
    config, state = grounded_state(conversion, material, adapter)
    pictures = {}
    if reads_pictures(adapter.kind):
        pictures = _picture_parts(conversion, material, adapter)
        for name in {"image_encoder", "image_project"} - pictures.keys():
            report(f"Left out: {name}, which the source does not have; diffusers asks for it.")
    with _new_folder(conversion.target) as folder:
        _pipeline(parts, config, state, **pictures).save_pretrained(folder)


def write_gligen(conversion: Conversion, material: Material) -> None:
    """Write a plain base in diffusers' layout, with all adapters that were read.

    Raises:
        ValueError: there are none, a part is missing, or nobody knows the base's convolution.
    """
    if not material.adapters:
        one_adapter(conversion, material)
    parts = _parts(conversion, material)
    base = parts.base
    if base.first is None:
        # Whoever was trained on this very base may know what it had.
        known = [
            adapter.original
            for adapter in material.adapters.values()
            if material.at_home or same_base(base, adapter)
        ]
        base = replace(base, first=next((first for first in known if first is not None), None))
    if base.first is None:
        raise ValueError(ask_for_base(f"of the base of {str(conversion.source)!r}"))
    base = base.to(CPU, dtype_of(conversion))
    adapters = [
        _for_home(adapter, base, material.at_home) for adapter in material.adapters.values()
    ]
    with _new_folder(conversion.target) as folder:
        _pipeline(parts, *base.plain()).save_pretrained(folder)
        (folder / "adapters").mkdir()
        for adapter in adapters:
            name = f"{adapter.kind}.safetensors"
            write_adapter(folder / "adapters" / name, adapter, dtype_of(conversion))
        home = material.home.model and material.home.model.folder
        for part in ("image_encoder", "processor"):
            if home and (home / part).is_dir() and any(map(reads_pictures, material.adapters)):
                shutil.copytree(home / part, folder / part)


def _for_home(adapter: Adapter, base: Any, at_home: bool) -> Adapter:
    """Return an adapter as trained on `base`: in its folder its convolution is taken as it is."""
    if at_home or not trains_first_convolution(adapter.kind):
        return adapter
    _, state = put_on(base, adapter, adapter.original)
    moved = {key: state[key] for key in adapter.state}
    return replace(adapter, state=moved, original=base.first)


def _parts(conversion: Conversion, material: Material) -> Parts:
    model = whole_model(conversion, material)
    return build_parts(material.home.place, model, dtype_of(conversion), CPU, conversion.tokenizer)


def _picture_parts(conversion: Conversion, material: Material, adapter: Adapter) -> dict[str, Any]:
    dtype = dtype_of(conversion)
    found: dict[str, Any] = {}
    if adapter.projection is not None:
        found["image_project"] = build_projection(adapter.projection, CPU, dtype)
    folder = material.home.model and material.home.model.folder
    if folder and (folder / "image_encoder").is_dir():
        vision = read_vision(folder, CPU, dtype)
        found |= {"image_encoder": vision.image_encoder, "processor": vision.processor}
    return found


def _pipeline(
    parts: Parts, config: dict[str, Any], state: State, **pictures: Any
) -> GligenPipeline:
    return GligenPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=build_unet(config, state),
        scheduler=parts.scheduler,
        **pictures,
    )


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the target's name and place once it is complete."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    aside = target.with_name(f".{target.name}.{os.getpid()}.old")
    partial.mkdir()
    try:
        yield partial
        if target.exists():
            target.rename(aside)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
