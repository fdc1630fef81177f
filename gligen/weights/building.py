"""UNets built around existing tensors, and the refusal of what does not fit.

Nothing is copied: several UNets on one base cost one base.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from gligen.kinds import FUSERS
from gligen.tokenizers import MapTokenizer, downsampler_like, tokenizer_like
from gligen.unet import add_grounding, add_map_input, record_kind
from gligen.weights.adapters import Adapter, FirstWeights, put_on, split_unet
from gligen.weights.recognition import BASE_FIRST, ablations_in, detect_kind


def build_unet(
    config: Mapping[str, Any], state: Mapping[str, Tensor], kind: str | None = None
) -> UNet2DConditionModel:
    """Build a UNet around existing tensors, with GLIGEN's layers where the state has them.

    The UNet's parameters share the memory of `state`.

    Args:
        config: arguments of `UNet2DConditionModel`.
        state: weights under diffusers' names, those of the new layers included.
        kind: what is known of its kind; recorded where the layers do not tell.

    Raises:
        ValueError: a weight is missing, unexpected or of the wrong shape; the first few are named.
    """
    unet = empty_unet(config, state)
    check_shapes(unet.state_dict(), state)
    unet.load_state_dict(dict(state), strict=True, assign=True)
    if kind is not None:
        record_kind(unet, kind)
    return unet.requires_grad_(False).eval()


def empty_unet(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> UNet2DConditionModel:
    """Build a UNet without memory, with the new layers that a state has.

    Raises:
        ValueError: the config is not that of a UNet, or the grounding tokenizer is incomplete.
    """
    with torch.device("meta"):
        tokenizer = None
        if any(key.startswith("position_net.") for key in state):
            tokenizer = tokenizer_like(state)
        plain = {**config, "attention_type": "default"}
        plain.pop("_use_default_values", None)
        if isinstance(tokenizer, MapTokenizer):
            plain["in_channels"] = config["out_channels"]
        try:
            unet = cast("UNet2DConditionModel", UNet2DConditionModel.from_config(plain))
        except (TypeError, KeyError, ValueError, IndexError, ZeroDivisionError) as error:
            raise ValueError(
                f"Its UNet has sizes that no Stable Diffusion 1.x UNet has ({error})."
            ) from None
        if tokenizer is not None:
            add_grounding(unet, tokenizer, ablations_in(state).get("fuser", FUSERS[0]))
        if isinstance(tokenizer, MapTokenizer):
            add_map_input(unet, downsampler_like(state), BASE_FIRST[0] in state)
    return unet


def apply_adapter(
    base: UNet2DConditionModel,
    adapter: Adapter,
    original: FirstWeights | None = None,
    *,
    at_home: bool = False,
) -> UNet2DConditionModel:
    """Return a UNet with the frozen weights of `base` and the adapter's new layers.

    `base` is not changed, and may carry new layers of its own, which are left out. The result
    shares its tensors; the adapter's are brought to the base's device and dtype.

    Args:
        base: a UNet of Stable Diffusion 1.x.
        adapter: of any kind.
        original: first convolution of the base that the adapter was trained on, where it does not
            say it; asked for only if the kind trains that convolution.
        at_home: `base` is known to be the one that the adapter was trained on.

    Raises:
        ValueError: the base is not Stable Diffusion 1.x, or the adapter is made for other sizes.
    """
    check_base(base.config)
    state = base.state_dict()
    frozen, _ = split_unet(base.config, state, detect_kind(state, "canny"))
    config, grounded = put_on(frozen, adapter, original, at_home=at_home)
    return build_grounded(config, grounded, adapter.kind)


def build_grounded(
    config: Mapping[str, Any], state: Mapping[str, Tensor], kind: str
) -> UNet2DConditionModel:
    """Build a UNet from what `put_on` returned.

    Raises:
        ValueError: the adapter is made for other sizes than the base has.
    """
    try:
        return build_unet(config, state, kind)
    except ValueError as error:
        raise ValueError(f"The adapter ({kind}) does not fit the base: {error}") from None


def check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Compare a state dict with what a model needs.

    Raises:
        ValueError: missing or unexpected keys, or other shapes; the sentence shows the first few.
    """
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    for keys, verb in ((missing, "missing"), (extra, "unexpected")):
        if keys:
            shown = ", ".join(keys[:2]) + (", ..." if len(keys) > 2 else "")
            raise ValueError(f"{len(keys)} of its weights {_are(keys)} {verb} ({shown}).")
    unequal = [key for key in wanted if wanted[key].shape != found[key].shape]
    if unequal:
        first = unequal[0]
        raise ValueError(
            f"{len(unequal)} of its weights {_are(unequal)} of another size than the model needs: "
            f"{first} is {_shape(found[first])} instead of {_shape(wanted[first])}."
        )


def check_base(config: Mapping[str, Any]) -> None:
    """Refuse UNet configs of other families.

    Raises:
        ValueError: SDXL or Stable Diffusion 2.
    """
    if config.get("addition_embed_type"):
        raise ValueError(
            "The base is SDXL; GLIGEN's layers fit Stable Diffusion 1.x only. Give a Stable "
            "Diffusion 1.x model."
        )
    if config.get("use_linear_projection"):
        raise ValueError(
            f"The base is Stable Diffusion 2 (text width {config['cross_attention_dim']}); "
            "GLIGEN's layers fit Stable Diffusion 1.x only. Give a Stable Diffusion 1.x model."
        )


def _are(keys: list[str]) -> str:
    return "is" if len(keys) == 1 else "are"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a scalar"
