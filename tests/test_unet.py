import pytest
import torch
from diffusers import UNet2DConditionModel

from gligen.attention import GatedSelfAttention, Grounding
from gligen.tokenizers import BoxGrounding
from gligen.unet import add_grounding, is_grounding_key, predict
from tests.conftest import open_gates, small_unet


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return {
        "latents": torch.randn(2, 4, 8, 8, generator=generator),
        "timestep": 500,
        "context": torch.randn(2, 5, 32, generator=generator),
    }


def regions(*boxes) -> BoxGrounding:
    masks = torch.zeros(2, 30)
    masks[:, : len(boxes)] = 1
    padded = torch.zeros(2, 30, 4)
    padded[:, : len(boxes)] = torch.tensor(boxes)
    features = torch.randn(2, 30, 32, generator=torch.Generator().manual_seed(3))
    return BoxGrounding(padded, masks, features)


@torch.no_grad()
def output(unet, inputs, grounding=None, scale=1.0):
    tokens = None if grounding is None else Grounding(unet.position_net.tokens(grounding), scale)
    return predict(unet, **inputs, grounding=tokens)


def test_diffusers_block_still_has_the_seam_for_gated_layers(inputs):
    """The block must call `fuser(hidden_states, objs)` between self- and cross-attention."""
    unet = add_grounding(small_unet())
    order = []
    block = unet.down_blocks[0].attentions[0].transformer_blocks[0]
    for name in ("attn1", "fuser", "attn2", "ff"):
        getattr(block, name).register_forward_hook(lambda *_, name=name: order.append(name))
    output(unet, inputs, regions((0.1, 0.1, 0.5, 0.5)))
    assert order == ["attn1", "fuser", "attn2", "ff"], (
        "diffusers' BasicTransformerBlock no longer runs `fuser` between self- and "
        "cross-attention; "
        "pin diffusers to the version in requirements.txt or adapt gligen.unet."
    )


def test_new_layers_change_nothing_until_trained(inputs):
    plain = small_unet()
    expected = output(plain, inputs)
    before = {name: p.clone() for name, p in plain.named_parameters()}
    grounded = add_grounding(plain)
    assert torch.equal(output(grounded, inputs), expected)
    assert torch.equal(output(grounded, inputs, regions((0, 0, 0.5, 0.5))), expected)
    for name, parameter in grounded.named_parameters():
        assert is_grounding_key(name) or torch.equal(parameter, before[name])


def test_gate_zero_is_the_plain_unet_bitwise(inputs):
    plain = output(small_unet(), inputs)
    unet = open_gates(add_grounding(small_unet()))
    grounding = regions((0.1, 0.1, 0.5, 0.5))
    assert not torch.allclose(output(unet, inputs, grounding), plain, atol=1e-3)
    assert torch.equal(output(unet, inputs, grounding, scale=0.0), plain)
    assert torch.equal(output(unet, inputs), plain)


def test_output_depends_on_box_phrase_and_strength(inputs):
    unet = open_gates(add_grounding(small_unet()))
    here = regions((0.1, 0.1, 0.5, 0.5))
    reference = output(unet, inputs, here)
    others = [
        output(unet, inputs, regions((0.5, 0.5, 0.9, 0.9))),
        output(unet, inputs, BoxGrounding(here.boxes, here.masks, here.phrase_features.flip(1))),
        output(unet, inputs, here, scale=0.5),
        output(unet, inputs, here.null()),
    ]
    for other in others:
        assert (other - reference).abs().max() > 1e-3


def test_one_strength_for_each_sample(inputs):
    unet = open_gates(add_grounding(small_unet()))
    grounding = regions((0.1, 0.1, 0.5, 0.5))
    mixed = output(unet, inputs, grounding, torch.tensor([1.0, 0.0])[:, None, None])
    torch.testing.assert_close(mixed[0], output(unet, inputs, grounding)[0])
    torch.testing.assert_close(mixed[1], output(unet, inputs)[1])


def test_diffusers_layers_are_adopted_with_their_parameters(inputs):
    theirs = UNet2DConditionModel.from_config(small_unet().config, attention_type="gated")
    theirs = open_gates(theirs)
    grounding = regions((0.1, 0.2, 0.5, 0.6), (0.5, 0.5, 0.9, 0.9))
    with torch.no_grad():
        expected = theirs(
            inputs["latents"],
            inputs["timestep"],
            encoder_hidden_states=inputs["context"],
            cross_attention_kwargs={
                "gligen": {
                    "boxes": grounding.boxes,
                    "masks": grounding.masks,
                    "positive_embeddings": grounding.phrase_features,
                }
            },
        ).sample
    parameters = dict(theirs.named_parameters())
    ours = add_grounding(theirs)
    assert {n: id(p) for n, p in ours.named_parameters()} == {
        n: id(p) for n, p in parameters.items()
    }
    assert any(isinstance(m, GatedSelfAttention) for m in ours.modules())
    torch.testing.assert_close(output(ours, inputs, grounding), expected, atol=1e-5, rtol=0)


def test_a_unet_of_another_family_is_refused():
    with pytest.raises(ValueError, match=r"not of the Stable Diffusion 1\.x family"):
        add_grounding(
            UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(32,),
                down_block_types=("DownBlock2D",),
                up_block_types=("UpBlock2D",),
                mid_block_type=None,
                layers_per_block=1,
            )
        )
