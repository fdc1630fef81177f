import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.weights import hub
from gligen.weights.checkpoints import save_adapter
from tests.addon_models import controlnet
from tests.conftest import small_pipeline, small_tokenizer
from tests.model_files import official, save_base_folder

REQUEST = Request(
    "a dog", Layout.from_text(["a dog: 0.1,0.1,0.6,0.8"]), num_inference_steps=2, seed=1
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)


def pixels(pipeline) -> np.ndarray:
    return np.asarray(pipeline.generate(REQUEST).images[0])


@pytest.mark.slow
def test_an_official_checkpoint(tmp_path):
    torch.save(official(), tmp_path / "checkpoint.bin")
    small_tokenizer().save_pretrained(tmp_path / "tokenizer")
    pipeline = GligenPipeline.from_single_file(
        tmp_path / "checkpoint.bin", tokenizer=tmp_path / "tokenizer"
    )
    assert isinstance(pipeline, GligenPipeline)
    assert pipeline.kind == "generation_text_box"
    assert pipeline.dtype == torch.float32
    assert pixels(pipeline).shape == (pipeline.image_size[1], pipeline.image_size[0], 3)


def test_an_adapter_on_a_base(tmp_path):
    generation, _ = save_base_folder(tmp_path / "base")
    expected = pixels(generation)
    save_adapter(tmp_path / "adapter.safetensors", generation.unet, "generation_text_box")
    pipeline = GligenPipeline.from_single_file(
        tmp_path / "adapter.safetensors", base=tmp_path / "base", kind="generation_text_box"
    )
    assert (pixels(pipeline) == expected).all()


def test_components_take_the_place_of_what_was_read(tmp_path):
    generation, _ = save_base_folder(tmp_path / "base")
    save_adapter(tmp_path / "adapter.safetensors", generation.unet, "generation_text_box")
    net = controlnet(generation.unet)
    scheduler = EulerDiscreteScheduler.from_config(generation.scheduler.config)
    pipeline = GligenPipeline.from_single_file(
        tmp_path / "adapter.safetensors",
        base=tmp_path / "base",
        torch_dtype=torch.bfloat16,
        controlnet=net,
        scheduler=scheduler,
    )
    assert pipeline.controlnet is net
    assert pipeline.scheduler is scheduler
    assert pipeline.unet.dtype == torch.bfloat16
    assert pipeline.model_name


def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="no model"):
        GligenPipeline.from_single_file(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.safetensors"):
        GligenPipeline.from_single_file(tmp_path / "text.safetensors")
    generation = small_pipeline()
    save_adapter(tmp_path / "adapter.safetensors", generation.unet, "generation_text_box")
    with pytest.raises(ValueError, match="base"):
        GligenPipeline.from_single_file(tmp_path / "adapter.safetensors")
