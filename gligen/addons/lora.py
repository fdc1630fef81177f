"""LoRA on the base model, by diffusers' loader; the grounding layers are never touched.

LoRA files of Stable Diffusion 1.x address the attention and feed-forward layers of the base. Files
that were trained on a grounded model with targets like "to_q" address the gated layers too, which
carry the same names; those parts are left out.
"""

import logging
from typing import Any, cast

from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.utils import convert_unet_state_dict_to_peft, is_peft_available
from torch import Tensor, nn

from gligen.unet import is_grounding_key

logger = logging.getLogger(__name__)

# For training a LoRA beside grounding, `LoraConfig(target_modules=LORA_TARGETS)`: the layers that
# usual targets ("to_q", "to_k", "to_v", "to_out.0") mean, without the gated ones of the same name.
LORA_TARGETS = r".*\.attn[12]\.to_(q|k|v|out\.0)"


class LoraMixin(StableDiffusionLoraLoaderMixin):
    """Loading, scaling, fusing and unloading LoRA files, as in diffusers' pipelines.

    A LoRA of the UNet acts in this pipeline alone while it is loaded. Fused it is written into the
    weights, so it also acts in other pipelines that share them, as the kinds of one base do.
    """

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: Any,
        adapter_name: str | None = None,
        hotswap: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load a LoRA: a file, folder, hub id or state dict, in diffusers', peft's or kohya's keys.

        Raises:
            ValueError: peft is not installed, or the LoRA is of another architecture.
        """
        if not is_peft_available():
            raise ValueError(
                "Loading a LoRA needs the package peft; install it with: "
                'pip install "gligen[lora]".'
            )
        super().load_lora_weights(
            pretrained_model_name_or_path_or_dict, adapter_name, hotswap, **kwargs
        )

    @classmethod
    def lora_state_dict(cls, *args: Any, **kwargs: Any) -> Any:
        """Read a LoRA and leave out what addresses grounding layers; see diffusers.

        Raises:
            ValueError: it addresses nothing else.
        """
        state, *further = super().lora_state_dict(*args, **kwargs)
        kept = {key: value for key, value in state.items() if not _is_grounding(key)}
        if state and not kept:
            raise ValueError(
                "The LoRA addresses grounding layers only, and LoRA never touches those; load it "
                "into the model as a GLIGEN adapter, or train one on the base's layers "
                "(gligen.addons.lora.LORA_TARGETS)."
            )
        if len(kept) < len(state):
            logger.warning(
                "%d of the LoRA's %d tensors address grounding layers and are left out; train with "
                "gligen.addons.lora.LORA_TARGETS to keep them out of the file.",
                len(state) - len(kept),
                len(state),
            )
        alphas, *metadata = further
        if alphas:
            alphas = {key: value for key, value in alphas.items() if not _is_grounding(key)}
        return kept, alphas, *(_anchored(entry, kept) for entry in metadata)

    @classmethod
    def load_lora_into_unet(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, state_dict: dict[str, Tensor], network_alphas: Any, unet: nn.Module, **kwargs: Any
    ) -> None:
        """Load the part of a LoRA that is for the UNet; see diffusers.

        Raises:
            ValueError: the UNet has no such layers, or they are of other sizes.
        """
        _check_fits(unet, state_dict)
        super().load_lora_into_unet(state_dict, network_alphas, unet, **kwargs)


def check_no_lora(*models: nn.Module | None) -> None:
    """Refuse to save models that carry LoRA layers: their weights then have other names.

    Raises:
        ValueError: one does.
    """
    for model in models:
        if model is not None and any(hasattr(module, "lora_A") for module in model.modules()):
            raise ValueError(
                f"The {type(model).__name__} carries LoRA layers, and no folder could be loaded "
                "that holds them. Call unload_lora_weights() before saving; to keep what the LoRA "
                "does, call fuse_lora() before that."
            )


def _is_grounding(key: str) -> bool:
    return key.startswith("unet.") and is_grounding_key(key.removeprefix("unet."))


def _anchored(metadata: dict[str, Any] | None, state: dict[str, Tensor]) -> dict[str, Any] | None:
    """Return a LoRA's own configuration, with the layers that the file holds as the targets.

    A suffix like "to_q", as training scripts write it, would match the gated layers too.
    """
    if not metadata or "unet.target_modules" not in metadata:
        return metadata
    return {**metadata, "unet.target_modules": sorted(_layers_of(state))}


def _layers_of(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors for the UNet by layer, their names in peft's form ("lora_A.weight")."""
    own = {k.removeprefix("unet."): v for k, v in state.items() if k.startswith("unet.")}
    if own and not any("lora_A" in key or "lokr_" in key for key in own):
        own = convert_unet_state_dict_to_peft(own)
    layers: dict[str, dict[str, Tensor]] = {}
    for key, value in own.items():
        for mark in (".lora_", ".lokr_"):
            layer, found, rest = key.partition(mark)
            if found:
                layers.setdefault(layer, {})[mark[1:] + rest] = value
    return layers


def _check_fits(unet: nn.Module, state: dict[str, Tensor]) -> None:
    modules = dict(unet.named_modules())
    layers = _layers_of(state)
    absent = [layer for layer in layers if layer not in modules]
    if absent:
        raise ValueError(
            f"The LoRA addresses {len(absent)} layers that this UNet does not have, for example "
            f"{absent[0]}; it is of another architecture. Use one of Stable Diffusion 1.x."
        )
    for layer, tensors in layers.items():
        weight = cast("Tensor", getattr(modules[layer], "base_layer", modules[layer]).weight)
        found = [
            tensors["lora_B.weight"].shape[0] if "lora_B.weight" in tensors else weight.shape[0],
            tensors["lora_A.weight"].shape[1] if "lora_A.weight" in tensors else weight.shape[1],
        ]
        if found != list(weight.shape[:2]):
            raise ValueError(
                f"The LoRA fits a layer of shape {found} where this UNet's {layer} has "
                f"{list(weight.shape[:2])}; it is of another architecture. Use one of Stable "
                "Diffusion 1.x."
            )
