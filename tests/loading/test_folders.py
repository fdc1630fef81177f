"""Folders in every form that they have had."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gligen.loading import load_pipeline
from tests.loading.requests import pixels


def _shard(folder: Path, part: str, stem: str, variant: str = ""):
    """Divide the weights of a part into two files with an index."""
    state = load_file(folder / part / f"{stem}.safetensors")
    (folder / part / f"{stem}.safetensors").unlink()
    names = [f"{stem}{variant}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    table = {key: names[position % 2] for position, key in enumerate(state)}
    for name in names:
        shard = {key: value for key, value in state.items() if table[key] == name}
        save_file(shard, folder / part / name, {"format": "pt"})
    index = folder / part / f"{stem}.safetensors.index{variant}.json"
    index.write_text(json.dumps({"weight_map": table}))


def _as_pickle(folder: Path, part: str, stem: str, new: str):
    path = folder / part / f"{stem}.safetensors"
    torch.save(load_file(path), folder / part / new)
    path.unlink()


def _as_once_named(folder: Path):
    """Give the weights the names that old libraries wrote."""
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(path)
    for new, name in old.items():
        state = {k.replace(f".{new}.", f".{name}."): v for k, v in state.items()}
    save_file(state, path)
    path = folder / "text_encoder" / "model.safetensors"
    state = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(path).items()}
    state["text_model.embeddings.position_ids"] = torch.arange(24)[None]
    save_file(state, path)


FOLDERS = {
    "sharded": lambda f: _shard(f, "unet", "diffusion_pytorch_model"),
    "sharded variant": lambda f: _shard(f, "unet", "diffusion_pytorch_model", ".fp16"),
    "pickles": lambda f: _as_pickle(
        f, "vae", "diffusion_pytorch_model", "diffusion_pytorch_model.bin"
    ),
    "old transformers": lambda f: _as_pickle(f, "text_encoder", "model", "pytorch_model.bin"),
    "old names": _as_once_named,
}


@pytest.mark.parametrize("form", FOLDERS)
def test_folders_in_every_form_paint_the_same(base, tmp_path, form):
    folder = tmp_path / "copy"
    shutil.copytree(base[0], folder)
    FOLDERS[form](folder)
    loaded = load_pipeline(folder, device="cpu")
    assert np.array_equal(pixels(loaded), pixels(base[1]))


def test_an_index_does_not_lead_out_of_its_folder(base, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(base[0], folder)
    _shard(folder, "unet", "diffusion_pytorch_model")
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    table = json.loads(index.read_text())["weight_map"]
    key, outside = next(iter(table)), "../vae/diffusion_pytorch_model.safetensors"
    assert (index.parent / outside).is_file()
    index.write_text(json.dumps({"weight_map": table | {key: outside}}))
    with pytest.raises(ValueError, match=r"names '\.\./vae/.*', which is not beside it"):
        load_pipeline(folder, device="cpu")
