"""Names of a UNet's weights, in the original (latent diffusion) and in diffusers.

Here live the tables and the sizes that can be read off the shapes. A table maps a prefix of a key
to a prefix; what follows the prefix stays. Nothing is guessed: a key that no table explains is an
error. The other parts' names are in `gligen.weights.partnames`; no file is opened here and no
module built, see `gligen.weights.checkpoints`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

State = dict[str, Tensor]

# Inside a residual block, a spatial transformer, and the blocks that change the resolution.
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
TRANSFORMER = {name: name for name in ("norm", "proj_in", "proj_out", "transformer_blocks.0")}
DOWNSAMPLE = {"op": "conv"}
UPSAMPLE = {"conv": "conv"}

UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "position_net": "position_net",
    "downsample_net": "downsample_net",
}
UNET_MIDDLE = {
    "middle_block.0": ("mid_block.resnets.0", RESNET),
    "middle_block.1": ("mid_block.attentions.0", TRANSFORMER),
    "middle_block.2": ("mid_block.resnets.1", RESNET),
}


@dataclass(frozen=True)
class UNetSizes:
    """The sizes of a Stable Diffusion 1.x UNet, all visible in the shapes of its weights."""

    in_channels: int  # of the first convolution: 4; inpainting 9 (latent, masked latent, mask)
    out_channels: int
    block_out_channels: tuple[int, ...]  # per level, finest first
    layers_per_block: int  # residual blocks per level on the way down
    attention_levels: tuple[bool, ...]  # whether a level has transformer blocks
    context_width: int  # of the text tokens that cross-attention reads

    @classmethod
    def from_ldm(cls, state: Mapping[str, Tensor]) -> "UNetSizes":
        """Read the sizes off a state dict in the original's key names.

        Raises:
            ValueError: it is a UNet of SDXL or Stable Diffusion 2, or no UNet at all.
        """
        check_ldm_architecture(state)
        num_levels = 1 + sum(
            key.startswith("input_blocks.") and key.endswith(".0.op.weight") for key in state
        )
        num_blocks = len({key.split(".")[1] for key in state if key.startswith("input_blocks.")})
        layers = (num_blocks - num_levels) // num_levels
        first = [1 + level * (layers + 1) for level in range(num_levels)]
        try:
            return cls(
                in_channels=state["input_blocks.0.0.weight"].shape[1],
                out_channels=state["out.2.weight"].shape[0],
                block_out_channels=tuple(
                    state[f"input_blocks.{block}.0.out_layers.3.weight"].shape[0] for block in first
                ),
                layers_per_block=layers,
                attention_levels=tuple(f"input_blocks.{b}.1.norm.weight" in state for b in first),
                context_width=state["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[
                    1
                ],
            )
        except KeyError as missing:
            raise ValueError(
                f"The UNet is incomplete: {missing} is missing. The file is damaged, or not a "
                "Stable "
                "Diffusion 1.x model."
            ) from None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "UNetSizes":
        """Read the sizes from the config of a diffusers `UNet2DConditionModel`."""
        return cls(
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            block_out_channels=tuple(config["block_out_channels"]),
            layers_per_block=config["layers_per_block"],
            attention_levels=tuple("CrossAttn" in name for name in config["down_block_types"]),
            context_width=config["cross_attention_dim"],
        )

    def config(self, sample_size: int = 64) -> dict[str, Any]:
        """Return the arguments of a diffusers `UNet2DConditionModel`.

        `attention_head_dim` is, despite its name, the number of heads: 8 in every Stable Diffusion
        1.x model. `sample_size` is the latent size trained at, which no weight shows.
        """
        down = tuple(
            "CrossAttnDownBlock2D" if attends else "DownBlock2D"
            for attends in self.attention_levels
        )
        up = tuple(
            "CrossAttnUpBlock2D" if attends else "UpBlock2D"
            for attends in reversed(self.attention_levels)
        )
        return {
            "sample_size": sample_size,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "down_block_types": down,
            "up_block_types": up,
            "block_out_channels": self.block_out_channels,
            "layers_per_block": self.layers_per_block,
            "cross_attention_dim": self.context_width,
            "attention_head_dim": 8,
        }

    def prefixes(self) -> dict[str, str]:
        """Return the table of key prefixes, original to diffusers, for a UNet of these sizes."""
        blocks = dict(UNET_MIDDLE)
        stride = self.layers_per_block + 1
        last = len(self.attention_levels) - 1
        for level, attends in enumerate(self.attention_levels):
            for layer in range(self.layers_per_block):
                old, new = f"input_blocks.{1 + level * stride + layer}", f"down_blocks.{level}"
                blocks[f"{old}.0"] = (f"{new}.resnets.{layer}", RESNET)
                if attends:
                    blocks[f"{old}.1"] = (f"{new}.attentions.{layer}", TRANSFORMER)
            if level < last:
                old, new = f"input_blocks.{(level + 1) * stride}.0", f"down_blocks.{level}"
                blocks[old] = (f"{new}.downsamplers.0", DOWNSAMPLE)
        for level, attends in enumerate(reversed(self.attention_levels)):
            for layer in range(stride):
                old, new = f"output_blocks.{level * stride + layer}", f"up_blocks.{level}"
                blocks[f"{old}.0"] = (f"{new}.resnets.{layer}", RESNET)
                if attends:
                    blocks[f"{old}.1"] = (f"{new}.attentions.{layer}", TRANSFORMER)
            if level < last:
                old = f"output_blocks.{(level + 1) * stride - 1}.{2 if attends else 1}"
                blocks[old] = (f"up_blocks.{level}.upsamplers.0", UPSAMPLE)
        return {**UNET_ENDS, **expand(blocks)}


def check_ldm_architecture(state: Mapping[str, Tensor]) -> None:
    """Refuse UNets of other families, in the original's key names, full or adapter only.

    Raises:
        ValueError: the sentence names the family.
    """
    if any(key.startswith("label_emb.") for key in state):
        raise ValueError(
            "This is an SDXL UNet (it has label_emb weights); GLIGEN's layers fit Stable "
            "Diffusion 1.x "
            "only. Give a Stable Diffusion 1.x model."
        )
    for key, tensor in state.items():
        if key.endswith("proj_in.weight") and tensor.ndim == 2:
            raise ValueError(
                "This is a Stable Diffusion 2 UNet (its transformer projections are linear, width "
                f"{tensor.shape[1]}); GLIGEN's layers fit Stable Diffusion 1.x only. Give a Stable "
                "Diffusion 1.x model."
            )


def convert_unet_state(ldm_state: Mapping[str, Tensor]) -> tuple[dict[str, Any], State]:
    """Return config and weights of a diffusers `UNet2DConditionModel` from the original's names.

    The weights of the new layers (`*.fuser.*`, `position_net.*`) come along under the names they
    have in diffusers. Tensors are passed on, not copied.

    Raises:
        ValueError: another architecture, an incomplete UNet, or keys that no rule explains.
    """
    sizes = UNetSizes.from_ldm(ldm_state)
    return sizes.config(), rename_state(ldm_state, sizes.prefixes(), "UNet")


def convert_adapter_state(ldm_state: Mapping[str, Tensor]) -> State:
    """Return the weights of an adapter-only file (new layers alone) under diffusers' names.

    How many residual blocks a level has, which decides the names, is counted from the fused blocks:
    with A levels of n blocks each, A n blocks on the way down and A (n + 1) on the way up have a
    gate.

    Raises:
        ValueError: another architecture, too few fused blocks to count from, or unexplained keys.
    """
    check_ldm_architecture(ldm_state)
    fused = {tuple(key.split(".")[:2]) for key in ldm_state if ".fuser." in key}
    num_down = sum(place == "input_blocks" for place, _ in fused)
    num_up = sum(place == "output_blocks" for place, _ in fused)
    num_levels = num_up - num_down
    if num_levels < 1 or num_down % num_levels or len(fused) != num_down + num_up + 1:
        raise ValueError(
            f"The adapter has gated layers in {num_down} blocks on the way down and {num_up} on "
            "the way "
            "up, which no Stable Diffusion 1.x UNet has. Part of the file is missing."
        )
    layers = num_down // num_levels
    num_blocks = 1 + max(int(number) for place, number in fused if place == "output_blocks")
    sizes = UNetSizes(4, 4, (), layers, (True,) * (num_blocks // (layers + 1)), 0)
    return rename_state(ldm_state, sizes.prefixes(), "adapter")


def original_unet_state(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> State:
    """Return a UNet's weights under the original's names, those of the new layers included.

    Args:
        config: of a diffusers `UNet2DConditionModel`.
        state: its weights.

    Raises:
        ValueError: keys that no rule explains.
    """
    return rename_state(state, invert(UNetSizes.from_config(config).prefixes()), "UNet")


def original_adapter_state(state: Mapping[str, Tensor]) -> State:
    """Return the weights of an adapter under the original's names, as ComfyUI's files have them.

    Raises:
        ValueError: the adapter has no gated layers to count from, or keys that no rule explains.
    """
    fused = {tuple(key.split(".")[:4]) for key in state if ".fuser." in key}
    layers = len([place for place in fused if place[:2] == ("down_blocks", "0")])
    levels = 1 + max([int(place[1]) for place in fused if place[0] == "up_blocks"], default=-1)
    if not layers or not levels:
        raise ValueError(
            "The adapter cannot have the original's names: they are counted from gated layers at "
            "the finest level, as Stable Diffusion 1.x has them, and this one has none there. It "
            "is of another architecture, or incomplete; write it with --names diffusers."
        )
    sizes = UNetSizes(4, 4, (), layers, (True,) * levels, 0)
    return rename_state(state, invert(sizes.prefixes()), "adapter")


def invert(prefixes: Mapping[str, str]) -> dict[str, str]:
    """Return the table of the way back."""
    return {new: old for old, new in prefixes.items()}


def rename_state(state: Mapping[str, Tensor], prefixes: Mapping[str, str], what: str) -> State:
    """Rename every key by the longest prefix that the table has for it.

    Raises:
        ValueError: keys without a rule; the sentence lists them.
    """
    renamed = {key: rename_key(key, prefixes) for key in state}
    strangers = [key for key, name in renamed.items() if name is None]
    if strangers:
        raise ValueError(unexplained(strangers, what))
    return {name: state[key] for key, name in renamed.items() if name is not None}


def rename_key(key: str, prefixes: Mapping[str, str]) -> str | None:
    """Return the new name of a key, or None if the table has no prefix of it."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        name = prefixes.get(".".join(parts[:length]))
        if name is not None:
            return ".".join([name, *parts[length:]])
    return None


def expand(blocks: Mapping[str, tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Join the tables of blocks with those of what is inside them into one of whole prefixes."""
    return {
        f"{old}.{inner_old}": f"{new}.{inner_new}"
        for old, (new, inner) in blocks.items()
        for inner_old, inner_new in inner.items()
    }


def unexplained(keys: list[str], what: str) -> str:
    """Return the sentence that lists keys without a rule."""
    shown = ", ".join(sorted(keys)[:8]) + (", ..." if len(keys) > 8 else "")
    return (
        f"The {what} has {len(keys)} unexpected key{'s' if len(keys) > 1 else ''} ({shown}). The "
        "file is not a Stable Diffusion 1.x model with GLIGEN's layers, or of an unknown version."
    )
