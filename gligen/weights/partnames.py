"""Names of weights of the autoencoder and the text encoder, in the original and in the libraries.

The companion of `gligen.weights.conversion`, which has the UNet's tables and says how a table is
read. Configs are those of diffusers' `AutoencoderKL` and transformers' `CLIPTextModel`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from gligen.weights.conversion import UPSAMPLE, State, expand, invert, rename_state, unexplained

VAE_RESNET = {
    **{name: name for name in ("norm1", "conv1", "norm2", "conv2")},
    "nin_shortcut": "conv_shortcut",
}
VAE_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}
VAE_ENDS = {
    "encoder.conv_in": "encoder.conv_in",
    "encoder.norm_out": "encoder.conv_norm_out",
    "encoder.conv_out": "encoder.conv_out",
    "decoder.conv_in": "decoder.conv_in",
    "decoder.norm_out": "decoder.conv_norm_out",
    "decoder.conv_out": "decoder.conv_out",
    "quant_conv": "quant_conv",
    "post_quant_conv": "post_quant_conv",
}
VAE_MIDDLE = {
    "mid.block_1": ("mid_block.resnets.0", VAE_RESNET),
    "mid.attn_1": ("mid_block.attentions.0", VAE_ATTENTION),
    "mid.block_2": ("mid_block.resnets.1", VAE_RESNET),
}
# What the attention of diffusers' autoencoders was called before version 0.18, as in the folders of
# Stable Diffusion 1.x on the hub.
OLD_VAE_ATTENTION = {
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}

# Prefixes under which text encoders circulate, the longest first; what follows is the key of a
# transformers 5 CLIPTextModel.
TEXT_PREFIXES = ("transformer.text_model.", "text_model.", "transformer.", "")
OFFICIAL_TEXT_PREFIX = TEXT_PREFIXES[0]
POSITION_IDS = "embeddings.position_ids"
# Deliberately left behind: a buffer of old transformers (0, 1, 2, ...) that new ones neither save
# nor accept, and what merging tools carry along from CLIP's other half, which nothing here uses.
TEXT_IGNORED = (POSITION_IDS, "text_projection.weight", "text_projection", "logit_scale")


def convert_vae_state(ldm_state: Mapping[str, Tensor]) -> tuple[dict[str, Any], State]:
    """Return config and weights of a diffusers `AutoencoderKL` from the original's names.

    Attention weights may be 1x1 convolutions (as the original stores them) or linear layers.

    Raises:
        ValueError: the autoencoder is incomplete, or has keys that no rule explains.
    """
    try:
        num_levels = 1 + max(
            int(key.split(".")[2]) for key in ldm_state if key.startswith("encoder.down.")
        )
        layers = 1 + max(
            int(key.split(".")[4]) for key in ldm_state if key.startswith("encoder.down.0.block.")
        )
        config = {
            "in_channels": ldm_state["encoder.conv_in.weight"].shape[1],
            "out_channels": ldm_state["decoder.conv_out.weight"].shape[0],
            "latent_channels": ldm_state["post_quant_conv.weight"].shape[0],
            "block_out_channels": tuple(
                ldm_state[f"encoder.down.{level}.block.0.conv1.weight"].shape[0]
                for level in range(num_levels)
            ),
            "down_block_types": ("DownEncoderBlock2D",) * num_levels,
            "up_block_types": ("UpDecoderBlock2D",) * num_levels,
            "layers_per_block": layers,
            "sample_size": 512,
            "scaling_factor": 0.18215,
        }
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"The autoencoder is incomplete ({error}). The file is damaged, or not a Stable "
            "Diffusion 1.x model."
        ) from None
    state = rename_state(ldm_state, _vae_prefixes(num_levels, layers), "autoencoder")
    return config, {key: _linear(key, tensor) for key, tensor in state.items()}


def original_vae_state(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> State:
    """Return an autoencoder's weights under the original's names, attention as 1x1 convolutions.

    Args:
        config: of a diffusers `AutoencoderKL`.
        state: its weights.

    Raises:
        ValueError: keys that no rule explains.
    """
    prefixes = _vae_prefixes(len(config["block_out_channels"]), config["layers_per_block"])
    renamed = rename_state(state, invert(prefixes), "autoencoder")
    return {
        key: tensor[:, :, None, None] if ".attn_1." in key and tensor.ndim == 2 else tensor
        for key, tensor in renamed.items()
    }


def modern_vae_state(state: Mapping[str, Tensor]) -> State:
    """Return an autoencoder's weights under diffusers' present names; old ones are translated."""
    modern = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if "attentions" in parts and len(parts) > 1 and parts[-2] in OLD_VAE_ATTENTION:
            key = ".".join([*parts[:-2], OLD_VAE_ATTENTION[parts[-2]], parts[-1]])
        modern[key] = _linear(key, tensor)
    return modern


def convert_text_state(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], State]:
    """Return config and weights of a CLIP text encoder, whichever transformers wrote it.

    The keys come back as transformers 5 names them (`embeddings...`, `encoder...`,
    `final_layer_norm...`); `text_keys_for` gives them the prefix that a given model wants. What
    `TEXT_IGNORED` names is dropped. Heads are 64 wide in every CLIP text tower.

    Raises:
        ValueError: the text encoder is incomplete, of another family, or has unexplained keys.
    """
    found = plain_text_state(state)
    try:
        vocabulary, width = found["embeddings.token_embedding.weight"].shape
        config = {
            "vocab_size": vocabulary,
            "hidden_size": width,
            "projection_dim": width,
            "max_position_embeddings": found["embeddings.position_embedding.weight"].shape[0],
            "intermediate_size": found["encoder.layers.0.mlp.fc1.weight"].shape[0],
            "num_hidden_layers": len(
                {key.split(".")[2] for key in found if key.startswith("encoder.layers.")}
            ),
            "num_attention_heads": max(1, width // 64),
            "hidden_act": "quick_gelu",
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
        }
    except KeyError as missing:
        raise ValueError(
            f"The text encoder is incomplete: {missing} is missing. The file is damaged, or its "
            "text encoder is not the CLIP of Stable Diffusion 1.x."
        ) from None
    return config, found


def plain_text_state(state: Mapping[str, Tensor]) -> State:
    """Return a text encoder's weights as transformers 5 names them, whoever wrote them.

    Raises:
        ValueError: keys that no rule explains.
    """
    names = [key for key in state if key.removeprefix("transformer.") not in TEXT_IGNORED]
    prefix = next(p for p in TEXT_PREFIXES if not p or any(key.startswith(p) for key in names))
    found = {key.removeprefix(prefix): state[key] for key in names}
    found = {key: tensor for key, tensor in found.items() if key not in TEXT_IGNORED}
    strangers = [
        key
        for key in found
        if key.split(".")[0] not in ("embeddings", "encoder", "final_layer_norm")
    ]
    if strangers:
        raise ValueError(unexplained(strangers, "CLIP text encoder"))
    return found


def text_keys_for(wanted: Iterable[str], state: Mapping[str, Tensor]) -> State:
    """Give the keys of a converted text encoder the prefix that a model's own keys have.

    transformers 4 has a level `text_model.`, transformers 5 has not.
    """
    prefix = "text_model." if any(key.startswith("text_model.") for key in wanted) else ""
    return {prefix + key: tensor for key, tensor in state.items()}


def original_text_state(state: Mapping[str, Tensor]) -> State:
    """Return a text encoder's weights as the authors' files name them, `position_ids` included.

    Raises:
        ValueError: keys that no rule explains.
    """
    plain = plain_text_state(state)
    length = plain["embeddings.position_embedding.weight"].shape[0]
    plain[POSITION_IDS] = torch.arange(length)[None]
    return {OFFICIAL_TEXT_PREFIX + key: tensor for key, tensor in plain.items()}


def _vae_prefixes(num_levels: int, layers: int) -> dict[str, str]:
    blocks: dict[str, tuple[str, dict[str, str]]] = {}
    for half in ("encoder", "decoder"):
        for old, (new, inner) in VAE_MIDDLE.items():
            blocks[f"{half}.{old}"] = (f"{half}.{new}", inner)
    for level in range(num_levels):
        # The decoder's levels are numbered from the finest in the original, from the coarsest here.
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{num_levels - 1 - level}"
        for layer in range(layers):
            blocks[f"encoder.down.{level}.block.{layer}"] = (f"{down}.resnets.{layer}", VAE_RESNET)
        for layer in range(layers + 1):
            blocks[f"decoder.up.{level}.block.{layer}"] = (f"{up}.resnets.{layer}", VAE_RESNET)
        blocks[f"encoder.down.{level}.downsample"] = (f"{down}.downsamplers.0", UPSAMPLE)
        blocks[f"decoder.up.{level}.upsample"] = (f"{up}.upsamplers.0", UPSAMPLE)
    return {**VAE_ENDS, **expand(blocks)}


def _linear(key: str, tensor: Tensor) -> Tensor:
    is_projection = ".attentions." in key and tensor.ndim == 4
    return tensor[:, :, 0, 0] if is_projection else tensor
