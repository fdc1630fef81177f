"""Folders, and parts of other pipelines."""

import json
import re

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from transformers import CLIPImageProcessorPil

from gligen.layout import Layout, Region
from gligen.loading import load_pipeline
from gligen.pipeline import GligenPipeline
from gligen.weights.checkpoints import save_adapter
from tests.conftest import small_pipeline, small_unet

# One of each modality and task, where every kind would tell nothing more.
from tests.pipeline_contract.calls import BOXES, FOLDERS, call, difference


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_saved_pipeline_is_loaded_as_it_was(built, kind, tmp_path):
    pipeline = built(kind)
    pipeline.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    # Transformers gives back its usual processor, which rounds a pixel's last bit apart.
    assert difference(call(again), call(pipeline)) <= (1e-5 if "image" in kind else 0)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            saved = getattr(again, name).state_dict()
            assert all(torch.equal(saved[key], value) for key, value in part.state_dict().items())
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert ("image_encoder" in index) == ("image" in kind)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("kind", FOLDERS)
def test_missing_optional_parts_stay_missing(kind, tmp_path):
    pipeline = small_pipeline(kind)
    parts = ("image_encoder", "image_project", "processor", "safety_checker", "feature_extractor")
    pipeline.register_modules(**dict.fromkeys(parts))
    pipeline.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert all(getattr(again, name) is None for name in parts)
    layout = Layout((Region("a dog", BOXES[0]),))
    assert torch.equal(call(again, layout=layout), call(pipeline, layout=layout))


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_half_precision_folders_and_variants(kind, tmp_path):
    pipeline = small_pipeline(kind).to(dtype=torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16")
    assert (tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    again = GligenPipeline.from_pretrained(tmp_path, variant="fp16", torch_dtype=torch.float16)
    assert again.unet.dtype == again.vae.dtype == again.text_encoder.dtype == torch.float16
    saved = again.unet.state_dict()
    assert all(torch.equal(saved[key], v) for key, v in pipeline.unet.state_dict().items())
    with pytest.raises((OSError, ValueError)):
        GligenPipeline.from_pretrained(tmp_path)
    mixed = GligenPipeline.from_pretrained(
        tmp_path, variant="fp16", torch_dtype={"unet": torch.bfloat16, "default": torch.float32}
    )
    assert mixed.unet.dtype == torch.bfloat16
    assert mixed.vae.dtype == torch.float32


def test_a_plain_model_is_saved_as_a_plain_one(tmp_path):
    parts = {**small_pipeline().components, "unet": small_unet()}
    GligenPipeline(**parts).save_pretrained(tmp_path)
    assert type(DiffusionPipeline.from_pretrained(tmp_path)) is StableDiffusionPipeline


@pytest.mark.parametrize("kind", ["keypoint", "canny", "semantic"])
def test_the_way_out_of_a_refused_folder_works(built, kind, tmp_path, monkeypatch):
    pipeline = built(kind)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="save_adapter") as error:
        pipeline.save_pretrained("folder")
    advised = re.search(
        r"gligen\.weights\.checkpoints\.(save_adapter)\((.*?)\), and", str(error.value)
    )
    assert advised is not None
    assert advised[2] == f"'{kind}.safetensors', pipeline.unet, '{kind}'"
    save_adapter(f"{kind}.safetensors", pipeline.unet, kind)
    GligenPipeline(**{**pipeline.components, "unet": small_unet()}).save_pretrained("base")
    again = load_pipeline(f"{kind}.safetensors", base="base", dtype="float32", device="cpu")
    again.set_progress_bar_config(disable=True)
    assert again.kind == kind
    assert torch.equal(call(again), call(pipeline))


def test_a_pipeline_made_from_plain_stable_diffusion_and_back():
    parts = {**small_pipeline().components, "unet": small_unet()}
    plain = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    plain.set_progress_bar_config(disable=True)
    words = {"prompt": "a dog", "num_inference_steps": 2, "output_type": "latent"}
    expected = plain(**words, generator=torch.Generator().manual_seed(3)).images
    ours = GligenPipeline.from_pipe(plain)
    ours.set_progress_bar_config(disable=True)
    assert ours.unet is plain.unet
    found = ours(**words, generator=torch.Generator().manual_seed(3)).images
    assert difference(found, expected) <= 1e-5
    back = StableDiffusionPipeline.from_pipe(ours)
    back.set_progress_bar_config(disable=True)
    again = back(**words, generator=torch.Generator().manual_seed(3)).images
    assert torch.equal(again, expected)
    assert back.config.requires_safety_checker is False


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_a_pipeline_made_from_diffusers_gligen(kind):
    from diffusers import StableDiffusionGLIGENPipeline, StableDiffusionGLIGENTextImagePipeline

    is_text = kind == "generation_text_box"
    theirs = StableDiffusionGLIGENPipeline if is_text else StableDiffusionGLIGENTextImagePipeline
    source = small_pipeline(kind)
    parts = source.components
    if not is_text:
        parts["processor"] = CLIPImageProcessorPil()
    ours = GligenPipeline.from_pipe(theirs(**parts, requires_safety_checker=False))
    ours.set_progress_bar_config(disable=True)
    assert torch.equal(call(ours), call(source))
