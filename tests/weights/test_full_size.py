"""The released models at full size, without memory: every key has its place, and what is shared."""

import json

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from gligen.kinds import KINDS, MAP, TEXT_IMAGE_BOX, kind_named
from gligen.unet import FirstConvolution
from gligen.weights.adapters import put_on
from gligen.weights.building import build_grounded
from gligen.weights.checkpoints import WholeModel
from gligen.weights.conversion import (
    convert_adapter_state,
    convert_unet_state,
    original_adapter_state,
    original_unet_state,
)
from gligen.weights.description import LEFT_OUT
from gligen.weights.noisetables import noise_tables
from gligen.weights.partnames import (
    POSITION_IDS,
    TEXT_IGNORED,
    convert_text_state,
    convert_vae_state,
    original_text_state,
    original_vae_state,
)
from gligen.weights.parts import build_text_encoder, build_vae
from gligen.weights.recognition import ALIKE, detect_kind, trains_first_convolution
from gligen.weights.vision import build_projection
from tests.conftest import GOLDEN
from tests.model_files import official_shapes

SUMMARY = json.loads((GOLDEN / "layout" / "summary.json").read_text())
META = torch.device("meta")


def recorded_name(kind):
    return "sem" if kind == "semantic" else kind


def full_size(kind, section):
    shapes = official_shapes(kind)[section]
    return {
        key: torch.empty(shape, device=META, dtype=torch.int64 if "_ids" in key else torch.float32)
        for key, shape in shapes.items()
    }


def shapes(state):
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def count(state):
    return sum(tensor.numel() for tensor in state.values())


def whole(kind):
    return WholeModel(
        kind,
        convert_unet_state(full_size(kind, "model")),
        convert_vae_state(full_size(kind, "autoencoder")),
        convert_text_state(full_size(kind, "text_encoder")),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_the_unet_is_mapped_there_and_back(kind):
    original = full_size(kind, "model")
    config, state = convert_unet_state(original)
    assert count(state) == SUMMARY["kinds"][recorded_name(kind)]["params"]["model"]
    assert len(state) == SUMMARY["kinds"][recorded_name(kind)]["n_keys"]["model"]
    assert detect_kind(state, kind) == kind
    unet = build_grounded(config, state, kind)
    assert shapes(unet.state_dict()) == shapes(state)
    assert isinstance(unet.conv_in, FirstConvolution) == (kind_named(kind).modality == MAP)
    assert shapes(original_unet_state(unet.config, state)) == shapes(original)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_the_other_parts_is_mapped_or_named_as_ignored(kind):
    params = SUMMARY["kinds"][recorded_name(kind)]["params"]
    vae = full_size(kind, "autoencoder")
    config, state = convert_vae_state(vae)
    assert shapes(original_vae_state(build_vae(config, state).config, state)) == shapes(vae)
    assert count(state) == params["autoencoder"]
    text = full_size(kind, "text_encoder")
    config, state = convert_text_state(text)
    build_text_encoder(config, state)
    assert shapes(original_text_state(state)) == shapes(text)
    assert POSITION_IDS in TEXT_IGNORED
    ignored = [key for key in text if key.endswith(POSITION_IDS)]
    assert len(ignored) == len(text) - len(state)
    assert count(state) + sum(text[key].numel() for key in ignored) == params["text_encoder"]
    assert shapes(noise_tables()) == shapes(full_size(kind, "diffusion"))


def test_the_noise_tables_are_those_of_the_original():
    for name, table in noise_tables().items():
        recorded = SUMMARY["diffusion_buffers"][name]
        assert str(table.dtype) == f"torch.{recorded['dtype']}"
        assert table[0].item() == recorded["first"]
        assert table[-1].item() == recorded["last"]
        assert table.double().sum().item() == recorded["sum"]


def test_what_else_the_trainer_wrote_has_a_reason_to_be_left_out():
    sections = {"model", "autoencoder", "text_encoder", "diffusion"}
    written = set(SUMMARY["top_level_keys_written_by_the_trainer"]) - sections
    written.discard("(ema only if enabled)")
    assert written | {"ema"} <= LEFT_OUT.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_keep_their_names_there_and_back(kind):
    _, adapter = whole(kind).split()
    original = original_adapter_state(adapter.state)
    assert original.keys() <= full_size(kind, "model").keys()
    assert shapes(convert_adapter_state(original)) == shapes(adapter.state)
    assert ("conv_in.weight" in adapter.state) == trains_first_convolution(kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ALIKE])
def test_kinds_are_told_apart_by_content(kind):
    model = whole(kind)
    assert detect_kind(model.unet[1]) == kind
    _, adapter = model.split()
    assert detect_kind(adapter.state) == kind


def test_three_kinds_in_memory_share_what_is_frozen():
    """Text-box, inpainting and text-image in half precision: at most 4.5 GB of weights."""
    kinds = (KINDS[0], KINDS[1], "generation_text_image_box")
    models = {kind: whole(kind) for kind in kinds}
    base = models[KINDS[0]].split()[0].to(META, torch.float16)
    modules = [build_vae(*models[KINDS[0]].vae), build_text_encoder(*models[KINDS[0]].text_encoder)]
    with META:
        modules.append(CLIPVisionModelWithProjection(CLIP_LARGE))
    modules = [module.half() for module in modules]
    modules.append(build_projection(torch.zeros(768, 768), torch.device("cpu"), torch.float16))
    together = bytes_of(modules)
    apart = 0
    for kind in kinds:
        _, adapter = models[kind].split()
        unet = build_grounded(*put_on(base, adapter, at_home=True), kind)
        modules.append(unet)
        eyes = modules[2:4] if kind_named(kind).modality == TEXT_IMAGE_BOX else []
        apart += bytes_of([*modules[:2], *eyes, unet])
        assert {p.dtype for p in unet.parameters()} == {torch.float16}
    total = bytes_of(modules)
    assert total - together < 3.1e9
    assert total <= 4.5e9
    assert apart >= 1.8 * total


CLIP_LARGE = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    image_size=224,
    patch_size=14,
    projection_dim=768,
)


def bytes_of(modules):
    """Return the bytes of all distinct storages of the parameters."""
    storages = {}
    for module in modules:
        for parameter in module.parameters():
            storage = parameter.untyped_storage()
            storages[storage._cdata] = storage.nbytes()
    return sum(storages.values())
