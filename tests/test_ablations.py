"""The paper's two ablations: layers that can be trained, saved and loaded like the usual ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gligen.attention import GatedCrossAttention, GatedSelfAttention, Grounding
from gligen.kinds import BOX_EMBEDDINGS, CROSS_ATTENTION, FUSERS, MLP_BOXES
from gligen.loading import load_pipeline
from gligen.request import Request
from gligen.tokenizers import BoxGrounding, TextBoxTokenizer
from gligen.training.adapter import train_adapter
from gligen.training.settings import TrainingSettings, read_settings
from gligen.training.starting import start_aimed
from gligen.training.watching import watched_batch
from gligen.unet import ablations, add_grounding
from gligen.weights.converting import convert
from gligen.weights.convertsource import Conversion
from gligen.weights.description import facts
from gligen.weights.official import model_config
from gligen.weights.recognition import ablations_in
from tests.conftest import open_gates, small_pipeline, small_unet
from tests.test_adapter_training import settings_for
from tests.test_grounding import layout_for
from tests.test_unet import output, regions
from tests.training_examples import RandomExamples, save_plain_base

KIND = "generation_text_box"
VARIANTS = {
    "fuser": {"fuser": CROSS_ATTENTION},
    "box_embedding": {"box_embedding": MLP_BOXES},
    "both": {"fuser": CROSS_ATTENTION, "box_embedding": MLP_BOXES},
}
CONFIGS = Path(__file__).parent.parent / "configs" / "training"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_plain_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory):
    """Train each variant for a few steps, the usual layers among them."""
    folder = tmp_path_factory.mktemp("adapters")
    trained = {}
    for name, choice in {"usual": {}, **VARIANTS}.items():
        settings = settings_for(base, folder / name, watch_every_steps=0, **choice)
        trained[name] = train_adapter(settings, lambda s, *_: RandomExamples(s.kind), device="cpu")
    return trained


def variant_unet(fuser=FUSERS[0], box_embedding=BOX_EMBEDDINGS[0]):
    torch.manual_seed(2)
    tokenizer = TextBoxTokenizer(32, 32, box_embedding)
    for name, parameter in tokenizer.named_parameters():
        if name.startswith("box_mlp"):
            parameter.data *= 3  # else boxes are all alike
    return open_gates(add_grounding(small_unet(), tokenizer, fuser))


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return {
        "latents": torch.randn(2, 4, 8, 8, generator=generator),
        "timestep": 500,
        "context": torch.randn(2, 5, 32, generator=generator),
    }


def test_cross_attention_follows_its_formula_and_has_the_originals_names():
    torch.manual_seed(0)
    layer = GatedCrossAttention(16, 12, num_heads=2, head_width=8)
    assert {name.split(".")[0] for name, _ in layer.named_parameters()} == {
        "attn",
        "ff",
        "norm1",
        "norm2",
        "alpha_attn",
        "alpha_dense",
    }
    assert layer.attn.to_k.weight.shape == (16, 12)
    x, tokens = torch.randn(3, 7, 16), torch.randn(3, 5, 12)
    with torch.no_grad():
        assert torch.equal(layer(x, Grounding(tokens)), x)  # gates start closed
        layer.alpha_attn.fill_(0.5)
        layer.alpha_dense.fill_(-0.7)
        q = layer.attn.to_q(layer.norm1(x)).reshape(3, 7, 2, 8).transpose(1, 2)
        k = layer.attn.to_k(tokens).reshape(3, 5, 2, 8).transpose(1, 2)
        v = layer.attn.to_v(tokens).reshape(3, 5, 2, 8).transpose(1, 2)
        looked = (q @ k.transpose(2, 3) / 8**0.5).softmax(-1) @ v
        y = x + 0.3 * torch.tanh(torch.tensor(0.5)) * layer.attn.to_out[0](
            looked.transpose(1, 2).flatten(2)
        )
        z = y + 0.3 * torch.tanh(torch.tensor(-0.7)) * layer.ff(layer.norm2(y))
        torch.testing.assert_close(layer(x, Grounding(tokens, 0.3)), z, rtol=0, atol=1e-5)
        assert torch.equal(layer(x, tokens), layer(x, Grounding(tokens, 1.0)))
        assert layer(x, Grounding(tokens, 0.0)) is x


@pytest.mark.parametrize("choice", VARIANTS.values(), ids=VARIANTS)
def test_gate_zero_is_the_plain_unet_and_boxes_matter(inputs, choice):
    unet, plain = variant_unet(**choice), output(small_unet(), inputs)
    here, there = regions((0.1, 0.1, 0.5, 0.5)), regions((0.5, 0.5, 0.9, 0.9))
    assert torch.equal(output(unet, inputs, here, scale=0.0), plain)
    assert not torch.allclose(output(unet, inputs, here), plain, atol=1e-3)
    difference = (output(unet, inputs, here) - output(unet, inputs, there)).abs().max()
    assert difference > 1e-3
    assert ablations(unet) == choice == ablations_in(unet.state_dict())
    assert unet.config.attention_type.startswith("gated-")
    layers = [m for m in unet.modules() if isinstance(m, GatedCrossAttention)]
    assert bool(layers) == ("fuser" in choice)


def test_the_usual_layers_are_no_ablation():
    unet = add_grounding(small_unet())
    assert ablations(unet) == {} == ablations_in(unet.state_dict())
    assert ablations_in(small_unet().state_dict()) == {}
    assert unet.config.attention_type == "gated"
    assert any(isinstance(m, GatedSelfAttention) for m in unet.modules())


@pytest.mark.parametrize("name", VARIANTS)
def test_a_trained_variant_is_loaded_painted_and_described(base, adapters, name):
    pipeline = load_pipeline(adapters[name], base=base)
    assert ablations(pipeline.unet) == VARIANTS[name]
    state = pipeline.unet.state_dict()
    trained = load_file(adapters[name])
    assert all(torch.equal(state[key], value) for key, value in trained.items())
    request = Request("a dog", layout_for(KIND), num_inference_steps=2, seed=1)
    grounded = pipeline.generate(replace(request, gate_schedule=1.0)).images[0]
    plain = pipeline.generate(replace(request, gate_schedule=0.0)).images[0]
    assert grounded != plain
    found = facts(str(adapters[name]))
    titles = {"fuser": "gated layers", "box_embedding": "embedding of boxes"}
    assert {key: found[titles[key]] for key in VARIANTS[name]} == VARIANTS[name]
    # On the same seed all start from other layers, and say other things than the usual ones.
    usual = load_pipeline(adapters["usual"], base=base)
    assert usual.generate(replace(request, gate_schedule=1.0)).images[0] != grounded
    assert not set(titles.values()) & set(facts(str(adapters["usual"])))


def test_training_goes_on_from_a_variant(base, adapters, tmp_path):
    settings = settings_for(base, tmp_path, adapter=str(adapters["both"]), watch_every_steps=0)
    path = train_adapter(settings, lambda s, *_: RandomExamples(s.kind), device="cpu")
    assert ablations_in(load_file(path)) == VARIANTS["both"]


@pytest.mark.parametrize("name", VARIANTS)
def test_only_forms_that_hold_it_are_written(base, adapters, tmp_path, name):
    words = "gated cross-attention" if "fuser" in VARIANTS[name] else "boxes embedded by an MLP"
    target = tmp_path / "model"
    with pytest.raises(ValueError, match=f"diffusers folder cannot hold {words}; .* to gligen"):
        convert(Conversion(adapters[name], target, "diffusers", base=base))
    with pytest.raises(ValueError, match=f"ComfyUI's names cannot hold {words}"):
        convert(Conversion(adapters[name], target, "adapter", names="comfyui"))
    with pytest.raises(ValueError, match="A diffusers folder has no form for the kind"):
        load_pipeline(adapters[name], base=base).save_pretrained(target)
    if "box_embedding" in VARIANTS[name]:
        with pytest.raises(ValueError, match="official cannot hold boxes embedded by an MLP"):
            convert(Conversion(adapters[name], target, "official", base=base))
    assert not target.exists()
    convert(Conversion(adapters[name], target, "gligen", base=base))
    again = load_pipeline(target)
    assert ablations(again.unet) == VARIANTS[name]
    copy = tmp_path / "copy.safetensors"
    convert(Conversion(target, copy, "adapter"))
    before, after = load_file(adapters[name]), load_file(copy)
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_the_authors_form_names_the_gated_layers():
    config = {
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "cross_attention_dim": 32,
        "sample_size": 8,
        "out_channels": 4,
        "layers_per_block": 1,
    }
    written = {
        fuser: model_config(KIND, config, variant_unet(fuser).state_dict())["params"]["fuser_type"]
        for fuser in FUSERS
    }
    assert written == {"gated_self_attention": "gatedSA", "gated_cross_attention": "gatedCA"}


def test_metadata_that_contradict_the_layers_are_refused(base, adapters, tmp_path):
    path = tmp_path / "wrong.safetensors"
    metadata = {"gligen": '{"kind": "generation_text_box", "fuser": "gated_self_attention"}'}
    save_file(load_file(adapters["fuser"]), path, metadata)
    with pytest.raises(ValueError, match="say 'gated_self_attention', but its weights are of"):
        load_pipeline(path, base=base)


@pytest.mark.parametrize("choice", [{}, *VARIANTS.values()], ids=["usual", *VARIANTS])
def test_all_start_aimed_alike(inputs, choice):
    """At first each is the base, with gates open, and finds the boxes in its tokens."""
    model = small_pipeline()
    torch.manual_seed(0)
    tokenizer = TextBoxTokenizer(32, 32, choice.get("box_embedding", BOX_EMBEDDINGS[0]))
    model.unet = add_grounding(small_unet(), tokenizer, choice.get("fuser", FUSERS[0]))
    batch = watched_batch(model._components, ManyExamples(KIND, 64))
    assert isinstance(batch.grounding, BoxGrounding)
    fits = start_aimed(model._components, batch)
    assert len(fits) == 4
    assert all(boxes > 0.35 for _, boxes in fits.values()), fits
    tokens = model.unet.position_net.tokens(batch.grounding)[batch.grounding.masks > 0]
    torch.testing.assert_close(tokens.std(0), torch.ones(32), rtol=0, atol=1e-2)
    expected = output(small_unet(), inputs)
    found = output(model.unet, inputs, regions((0.1, 0.1, 0.5, 0.5)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    layers = [
        m for m in model.unet.modules() if isinstance(m, (GatedCrossAttention, GatedSelfAttention))
    ]
    assert all(layer.alpha_attn == 1 == layer.alpha_dense for layer in layers)


class ManyExamples(RandomExamples):
    def validation(self):
        import numpy as np

        return [self.example(index, np.random.default_rng(index)) for index in range(self._size)]


def test_settings_refuse_what_does_not_exist():
    with pytest.raises(ValueError, match="fuser is 'dense'; it must be one of gated_self"):
        TrainingSettings("run", "data", fuser="dense")
    with pytest.raises(ValueError, match="'mlp' is for the text-box kinds, not for keypoint"):
        TrainingSettings("run", "data", "keypoint", box_embedding="mlp")


def test_the_three_runs_differ_in_one_setting_each():
    control, cross, boxes = (
        read_settings(CONFIGS / "ablations" / f"{name}.yaml", output="run")
        for name in ("control", "cross_attention", "mlp_boxes")
    )
    assert replace(control, fuser=CROSS_ATTENTION) == cross
    assert replace(control, box_embedding=MLP_BOXES) == boxes
    usual = read_settings(CONFIGS / "world_text_box.yaml", output="run")
    assert control == usual
