"""IP-Adapter beside grounding: a picture as a prompt, attached to the cross-attention alone.

diffusers' loader takes every attention layer that is not called `attn1` for cross-attention, the
gated layers' too, and fails on their shapes. Here the keys and values of the picture join `attn2`,
and a call without a picture computes exactly what it did before the IP-Adapter was loaded.

Shapes: B pictures to make, R rows of an evaluation (both halves of guidance), N pictures given to
one IP-Adapter, K tokens of each, D token width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import IPAdapterMixin
from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import ImageProjection, MultiIPAdapterImageProjection
from diffusers.models.modeling_utils import load_state_dict
from diffusers.utils.hub_utils import _get_model_file
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from gligen.addons.inputs import AddOns
from gligen.components import Components
from gligen.references import square_picture

State = dict[str, Any]  # "image_proj" and "ip_adapter": tensors by name, as in the files


class PictureAttention(IPAdapterAttnProcessor2_0):
    """Cross-attention to the prompt and to pictures; without pictures it is `plain`'s."""

    def __init__(self, hidden_size: int, cross_attention_dim: int, num_tokens: list[int]):
        super().__init__(hidden_size, cross_attention_dim, num_tokens)
        self.plain: Any = AttnProcessor2_0()  # what computed this layer before, and will after

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Any = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        scale: float = 1.0,
        ip_adapter_masks: Any = None,
    ) -> Tensor:
        """Attend; `encoder_hidden_states` is the prompt, or a tuple of prompt and pictures."""
        if isinstance(encoder_hidden_states, tuple):
            return super().__call__(
                attn,
                hidden_states,
                cast("Any", encoder_hidden_states),
                attention_mask,
                temb,
                scale,
                ip_adapter_masks,
            )
        # Without `temb`, which no block gives its cross-attention and not every processor takes.
        return self.plain(attn, hidden_states, encoder_hidden_states, attention_mask)


class GroundedIPAdapterMixin(IPAdapterMixin):
    """Loading, scaling and unloading IP-Adapters, as in diffusers' pipelines.

    The image encoder that comes with an IP-Adapter is the component `ip_adapter_image_encoder`: the
    one for reference pictures (`image_encoder`) is another model, and stays.
    """

    def load_ip_adapter(
        self,
        pretrained_model_name_or_path_or_dict: Any,
        subfolder: str | list[str] = "",
        weight_name: str | list[str] = "",
        image_encoder_folder: str | None = "image_encoder",
        **kwargs: Any,
    ) -> None:
        """Load one IP-Adapter or several, in the place of those that are loaded.

        Args:
            pretrained_model_name_or_path_or_dict: a file, folder, hub id or state dict; a list has
                one for each IP-Adapter.
            subfolder: where in a folder or hub repository the file is.
            weight_name: its name; a list has one for each IP-Adapter.
            image_encoder_folder: folder of the image encoder, within `subfolder` where it has no
                slash; None: it is not loaded. State dicts bring none.
            kwargs: how files are fetched from the hub, as in diffusers (`revision`, `token`, ...).

        Raises:
            ValueError: a file is no IP-Adapter, or is one for another architecture.
        """
        sources, names, folders = _lined_up(
            pretrained_model_name_or_path_or_dict, weight_name, subfolder
        )
        kwargs.pop("low_cpu_mem_usage", None)
        states = [
            source if isinstance(source, dict) else _read(source, name, folder, kwargs)
            for source, name, folder in zip(sources, names, folders, strict=True)
        ]
        unet: UNet2DConditionModel = self._components_unet
        attach(unet, states)
        self._load_faceid_loras(unet, states)
        source = sources[0]
        if image_encoder_folder is None or isinstance(source, dict) or Path(source).is_file():
            return
        if "/" not in image_encoder_folder:
            image_encoder_folder = Path(folders[0], image_encoder_folder).as_posix()
        encoder = CLIPVisionModelWithProjection.from_pretrained(
            source, subfolder=image_encoder_folder, dtype=unet.dtype, **kwargs
        )
        cast("Any", self).register_modules(ip_adapter_image_encoder=encoder.to(unet.device))

    def unload_ip_adapter(self) -> None:
        """Take all IP-Adapters out again, and the image encoder that came with them."""
        detach(self._components_unet)
        cast("Any", self).register_modules(ip_adapter_image_encoder=None)

    @property
    def _components_unet(self) -> UNet2DConditionModel:
        return cast("Any", self).unet

    def _load_faceid_loras(self, unet: UNet2DConditionModel, states: list[State]) -> None:
        """Load what Face ID files bring for the base's own attention layers."""
        pipeline: Any = self
        for index, state in enumerate(states):
            lora = _faceid_lora(unet, state)
            name = f"faceid_{index}"
            if lora and name not in getattr(unet, "peft_config", {}):
                pipeline.load_lora_weights(lora, adapter_name=name)
                pipeline.set_adapters([name], adapter_weights=[1.0])


def attach(unet: UNet2DConditionModel, states: Sequence[State]) -> None:
    """Attach IP-Adapters to the cross-attention of a UNet; no other layer is touched.

    Raises:
        ValueError: a state dict is none of an IP-Adapter, or is one for another architecture.
    """
    detach(unet)
    layers = _layers(unet, "attn2")
    for state in states:
        _check_state(unet, layers, state)
    projections = [
        unet._convert_ip_adapter_image_proj_to_diffusers(
            dict(state["image_proj"]), low_cpu_mem_usage=False
        )
        for state in states
    ]
    num_tokens = [getattr(layer, "num_image_text_embeds", 4) for layer in projections]
    processors: dict[str, Any] = dict(unet.attn_processors)
    for number, layer in enumerate(layers):
        attention = cast("Any", unet.get_submodule(layer))
        joined = PictureAttention(
            attention.inner_dim, attention.cross_attention_dim, list(num_tokens)
        )
        joined.load_state_dict(
            {
                f"to_{part}_ip.{index}.weight": state["ip_adapter"][
                    f"{2 * number + 1}.to_{part}_ip.weight"
                ]
                for index, state in enumerate(states)
                for part in "kv"
            }
        )
        joined.plain = processors[f"{layer}.processor"]
        joined.to(unet.device, unet.dtype).requires_grad_(False).eval()
        processors[f"{layer}.processor"] = joined
    unet.set_attn_processor(processors)
    # Not through the configuration (`encoder_hid_dim_type`): the UNet would then need a picture in
    # every call, and would project it again in every step.
    projector = MultiIPAdapterImageProjection(projections).to(unet.device, unet.dtype)
    unet.encoder_hid_proj = projector.requires_grad_(False).eval()


def detach(unet: UNet2DConditionModel) -> None:
    """Take all IP-Adapters out of a UNet; it then is what it was before."""
    if not isinstance(unet.encoder_hid_proj, MultiIPAdapterImageProjection):
        return
    unet.encoder_hid_proj = None  # first, because some projections have processors of their own
    unet.set_attn_processor(
        {
            name: processor.plain if isinstance(processor, PictureAttention) else processor
            for name, processor in unet.attn_processors.items()
        }
    )


@torch.no_grad()
def picture_tokens(
    components: Components, add_ons: AddOns, num_images: int, guided: bool
) -> list[Float[Tensor, "R _ _ D"]] | None:
    """Return what the cross-attention reads of the pictures, one entry for each IP-Adapter.

    R = B rows, or 2 B where `guided`: the unconditional half, which sees an empty picture, first.
    None where there are no pictures.

    Raises:
        ValueError: there is a picture and no IP-Adapter or image encoder for it, or a number or a
            size does not fit.
    """
    if add_ons.ip_adapter_image is None and add_ons.ip_adapter_image_embeds is None:
        return None
    unet = components.unet
    projector = unet.encoder_hid_proj
    if not isinstance(projector, MultiIPAdapterImageProjection):
        raise ValueError(  # noqa: TRY004 (the pipeline is wrong, not an argument's type)
            "There is a picture for an IP-Adapter, and none is loaded; call load_ip_adapter first."
        )
    processors = [unet.attn_processors[f"{layer}.processor"] for layer in _layers(unet, "attn2")]
    if not all(isinstance(processor, PictureAttention) for processor in processors):
        raise ValueError(
            "Another attention processor has taken the IP-Adapter's place, as attention slicing "
            "does; load the IP-Adapter after setting it."
        )
    layers = list(projector.image_projection_layers)
    if add_ons.ip_adapter_image_embeds is not None:
        halves = _given_features(add_ons.ip_adapter_image_embeds, len(layers), guided)
    else:
        halves = _encoded_features(
            components.ip_adapter_image_encoder, add_ons.ip_adapter_image, layers
        )
    return [
        torch.cat(
            [
                _project(layer, features, num_images).to(components.device, unet.dtype)
                for features in (half if guided else half[1:])
            ]
        )
        for layer, half in zip(layers, halves, strict=True)
    ]


def _given_features(
    embeds: Sequence[Tensor], num_adapters: int, guided: bool
) -> list[tuple[Tensor, Tensor]]:
    """Return the features that the caller prepared: of the empty picture, and of the pictures."""
    if len(embeds) != num_adapters:
        raise ValueError(
            f"There are {len(embeds)} ip_adapter_image_embeds and {num_adapters} IP-Adapters; give "
            "a list with one entry for each."
        )
    if not guided:
        return [(features, features) for features in embeds]
    if any(len(features) % 2 for features in embeds):
        raise ValueError(
            "With guidance ip_adapter_image_embeds has two halves, the first for the empty "
            f"picture; there are {[len(features) for features in embeds]} rows."
        )
    return [cast("tuple[Tensor, Tensor]", features.chunk(2)) for features in embeds]


def _encoded_features(
    encoder: CLIPVisionModelWithProjection | None, given: Any, layers: list[nn.Module]
) -> list[tuple[Tensor, Tensor]]:
    """Return the features of the empty picture and of the pictures, for each IP-Adapter."""
    if encoder is None:
        raise ValueError(
            "There is a picture for the IP-Adapter, and no image encoder; load one with it "
            "(image_encoder_folder), set pipeline.ip_adapter_image_encoder, or give "
            "ip_adapter_image_embeds."
        )
    entries = given if isinstance(given, (list, tuple)) else [given]
    if len(entries) != len(layers):
        raise ValueError(
            f"There are {len(entries)} pictures and {len(layers)} IP-Adapters; give a list with "
            "one entry for each, which may be a list of pictures."
        )
    return [
        _encode(encoder, entry if isinstance(entry, (list, tuple)) else [entry], layer)
        for entry, layer in zip(entries, layers, strict=True)
    ]


def _encode(
    encoder: CLIPVisionModelWithProjection, pictures: Sequence[Image.Image], layer: nn.Module
) -> tuple[Tensor, Tensor]:
    config = encoder.config
    pooled = isinstance(layer, ImageProjection)
    width = config.projection_dim if pooled else config.hidden_size
    reads = _width_read(layer)
    if reads != width:
        raise ValueError(
            f"The IP-Adapter reads image features of width {reads}, and the image encoder makes "
            f"some of width {width}; load the encoder that belongs to it, or give "
            "ip_adapter_image_embeds."
        )
    pixels = _clip_pixels(pictures, config.image_size).to(encoder.device, encoder.dtype)
    if pooled:
        features = encoder(pixels).image_embeds[None]
        return torch.zeros_like(features), features
    empty = torch.zeros_like(pixels)
    return tuple(
        encoder(batch, output_hidden_states=True).hidden_states[-2][None]
        for batch in (empty, pixels)
    )


def _clip_pixels(pictures: Sequence[Image.Image], side: int) -> Float[Tensor, "N 3 s s"]:
    """Return the middle squares of pictures as CLIP reads them."""
    squares = [square_picture(picture, side, crop=True) for picture in pictures]
    pixels = torch.stack([torch.from_numpy(np.array(square)) for square in squares]) / 255
    mean, deviation = torch.tensor(OPENAI_CLIP_MEAN), torch.tensor(OPENAI_CLIP_STD)
    return ((pixels - mean) / deviation).permute(0, 3, 1, 2)


def _width_read(layer: nn.Module) -> int:
    """Return the width of the image features that a projection reads: that of its first layer."""
    first = next(module for module in layer.modules() if isinstance(module, nn.Linear))
    return first.in_features


def _project(
    layer: nn.Module, features: Float[Tensor, "R N ..."], num_images: int
) -> Float[Tensor, "B N K D"]:
    """Return the tokens of N pictures, in a row for each picture to make."""
    rows, number = features.shape[:2]
    if num_images % rows:
        raise ValueError(
            f"There are ip_adapter_image_embeds for {rows} pictures, and {num_images} are made; "
            "give one row for all, or one for each prompt."
        )
    home = next(layer.parameters())  # elsewhere than the UNet computes while that is offloaded
    tokens = layer(features.flatten(0, 1).to(home.device, home.dtype))
    tokens = tokens.reshape(rows, number, *tokens.shape[1:])
    return tokens.repeat_interleave(num_images // rows, dim=0)


def _layers(unet: UNet2DConditionModel, *names: str) -> list[str]:
    """Return the attention layers of these names ("attn1", "attn2"), in the files' order."""
    layers = [name.removesuffix(".processor") for name in unet.attn_processors]
    return [layer for layer in layers if layer.endswith(tuple(f".{name}" for name in names))]


def _check_state(unet: UNet2DConditionModel, layers: list[str], state: State) -> None:
    if not state.get("image_proj") or not state.get("ip_adapter"):
        raise ValueError(
            f"The file is no IP-Adapter: it holds {', '.join(sorted(state)[:4]) or 'nothing'}, and "
            "not image_proj and ip_adapter."
        )
    found = {k: v.shape for k, v in state["ip_adapter"].items() if k.endswith("_ip.weight")}
    expected = {
        f"{2 * number + 1}.to_{part}_ip.weight": (
            unet.get_submodule(layer).inner_dim,
            unet.config.cross_attention_dim,
        )
        for number, layer in enumerate(layers)
        for part in "kv"
    }
    if found != expected:
        key = next(key for key in sorted(found | expected) if found.get(key) != expected.get(key))
        raise ValueError(
            f"The IP-Adapter is for another architecture: its {key} has the shape "
            f"{tuple(found.get(key, ())) or None}, and this UNet needs {expected.get(key)}. Use "
            "one for Stable Diffusion 1.x."
        )


def _faceid_lora(unet: UNet2DConditionModel, state: State) -> dict[str, Tensor]:
    """Return the LoRA in a Face ID file, in peft's keys; empty in other files."""
    lora = {}
    for number, layer in enumerate(_layers(unet, "attn1", "attn2")):
        for part in ("to_q", "to_k", "to_v", "to_out"):
            target = f"unet.{layer}.{'to_out.0' if part == 'to_out' else part}"
            for theirs, ours in (("down", "lora_A"), ("up", "lora_B")):
                key = f"{number}.{part}_lora.{theirs}.weight"
                if key in state["ip_adapter"]:
                    lora[f"{target}.{ours}.weight"] = state["ip_adapter"][key]
    return lora


def _lined_up(source: Any, name: Any, folder: Any) -> tuple[list[Any], list[str], list[str]]:
    """Return sources, file names and folders as lists of the same length."""
    lists = [value if isinstance(value, list) else [value] for value in (source, name, folder)]
    length = max(map(len, lists))
    if any(len(values) not in (1, length) for values in lists):
        raise ValueError(
            f"There are {len(lists[0])} IP-Adapters, {len(lists[1])} file names and "
            f"{len(lists[2])} subfolders; give as many of each, or one for all."
        )
    sources, names, folders = (values * length if len(values) == 1 else values for values in lists)
    return sources, names, folders


def _read(source: str | Path, name: str, folder: str, options: dict[str, Any]) -> State:
    """Read an IP-Adapter's file; a pickle is read as weights only."""
    options = {"cache_dir": None, "force_download": False, "proxies": None, **options}
    options = {"local_files_only": None, "token": None, "revision": None, **options}
    try:
        file = _get_model_file(
            str(source), weights_name=name, subfolder=folder or None, user_agent={}, **options
        )
        content = cast("dict[str, Any]", load_state_dict(file))
    except OSError as error:
        raise ValueError(f"The IP-Adapter {str(source)!r} cannot be read: {error}") from None
    state: State = {}
    for section in ("image_proj", "ip_adapter"):
        prefix = f"{section}."
        flat = {k.removeprefix(prefix): v for k, v in content.items() if k.startswith(prefix)}
        state[section] = flat or content.get(section, {})
    return state
