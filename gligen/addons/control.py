"""ControlNets and T2I-Adapters beside a grounded UNet.

They are networks of the base model: they see the noisy latents alone, whatever further channels the
UNet reads (known pixels and mask, or a map), and nothing of grounding.

Shapes: B pictures, L text tokens, D token width, c latent channels, latents [B, c, h, w], pictures
[B, 3, H, W] in [0, 1].
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ControlNetModel, MultiControlNetModel, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gligen.addons.inputs import AddOns, Pictures, spread
from gligen.addons.residuals import Residuals
from gligen.components import Components
from gligen.holes import Hole
from gligen.inpainting import picture_in_area
from gligen.unet import is_grounding_key


@dataclass(frozen=True)
class Control:
    """A ControlNet, or several, with what they read during a run."""

    net: ControlNetModel | MultiControlNetModel
    pictures: tuple[Float[Tensor, "B 3 H W"], ...]  # one for each ControlNet
    scales: tuple[tuple[float, ...], ...]  # of every step, for each ControlNet; 0 = absent
    guess_mode: bool

    def __call__(
        self,
        latents: Float[Tensor, "R c h w"],
        timestep: Tensor | int | float,
        context: Float[Tensor, "R L D"],
        step: int,
    ) -> Residuals | None:
        """Return the residuals for R = B rows, or 2 B where both halves of guidance are asked for.

        Only the ControlNets that act in this step are computed; None where none does.
        """
        scales = self.scales[step]
        acting = [i for i, scale in enumerate(scales) if scale != 0]
        if not acting:
            return None
        rows, pictures_in_run = len(latents), len(self.pictures[0])
        skips_half = self.guess_mode and rows > pictures_in_run
        if skips_half:
            latents, context = latents[-pictures_in_run:], context[-pictures_in_run:]
        total: list[Tensor] = []
        for i in acting:
            net = self.net.nets[i] if isinstance(self.net, MultiControlNetModel) else self.net
            added = self._evaluate(net, i, latents, timestep, context, scales[i])
            total = [a + b for a, b in zip(total, added, strict=True)] if total else added
        if skips_half:
            total = [torch.cat([torch.zeros_like(added), added]) for added in total]
        *skips, middle = (added.to(latents.dtype) for added in total)
        return Residuals(skips=tuple(skips), middle=middle)

    def _evaluate(
        self,
        net: Any,
        index: int,
        latents: Tensor,
        timestep: Tensor | int | float,
        context: Tensor,
        scale: float,
    ) -> list[Tensor]:
        picture = self.pictures[index]
        skips, middle = net(
            latents.to(net.dtype),
            timestep,
            encoder_hidden_states=context.to(net.dtype),
            controlnet_cond=picture.repeat(len(latents) // len(picture), 1, 1, 1).to(net.dtype),
            conditioning_scale=scale,
            # Networks that pool their output (shuffle) were trained in this mode.
            guess_mode=self.guess_mode,
            return_dict=False,
        )
        return [*skips, middle]


@dataclass(frozen=True)
class SideNetworks:
    """All networks beside the UNet that take part in a run; call it in every evaluation."""

    control: Control | None = None
    features: tuple[Float[Tensor, "B _ _ _"], ...] | None = None  # of the T2I-Adapter

    def __call__(
        self,
        latents: Float[Tensor, "R c h w"],
        timestep: Tensor | int | float,
        context: Float[Tensor, "R L D"],
        step: int,
    ) -> Residuals:
        """Return what is added inside of the UNet in this evaluation."""
        control = None
        if self.control is not None:
            control = self.control(latents, timestep, context, step)
        down = None
        if self.features is not None:
            halves = len(latents) // len(self.features[0])
            down = tuple(feature.repeat(halves, 1, 1, 1) for feature in self.features)
        if control is None:
            return Residuals(down=down)
        return Residuals(skips=control.skips, middle=control.middle, down=down)


@torch.no_grad()
def side_networks(
    components: Components,
    add_ons: AddOns,
    size: tuple[int, int],
    num_images: int,
    num_steps: int,
    hole: Hole | None = None,
) -> SideNetworks | None:
    """Prepare the networks that a run was given pictures for; None where there are none.

    Args:
        components: hold the networks.
        add_ons: the pictures and strengths.
        size: width, height in pixels of what the model paints.
        num_images: B.
        num_steps: of the run; shares of it say when a ControlNet acts.
        hole: of an inpainting run; the pictures are cut to the area that it paints.

    Raises:
        ValueError: there is a picture without a network for it, or it does not fit.
    """
    control, features = None, None
    if add_ons.control_image is not None:
        control = _control(components, add_ons, size, num_images, num_steps, hole)
    if add_ons.adapter_image is not None:
        features = _features(components, add_ons, size, num_images, hole)
    return SideNetworks(control, features) if control or features else None


def _control(
    components: Components,
    add_ons: AddOns,
    size: tuple[int, int],
    num_images: int,
    num_steps: int,
    hole: Hole | None,
) -> Control:
    net = components.controlnet
    if net is None:
        raise ValueError(
            "There is a control image, and the pipeline has no ControlNet; set one "
            "(pipeline.controlnet = ControlNetModel.from_pretrained(...))."
        )
    nets = list(net.nets) if isinstance(net, MultiControlNetModel) else [net]
    given: Any = [add_ons.control_image] if len(nets) == 1 else add_ons.control_image
    if not isinstance(given, (list, tuple)) or len(given) != len(nets):
        raise ValueError(
            f"There are {len(nets)} ControlNets; give a list with one control image for each."
        )
    pictures = tuple(
        _pixels(pictures, size, num_images, hole, 3).to(components.device) for pictures in given
    )
    scales = spread(add_ons.control_scale, len(nets), "controlnet_conditioning_scale")
    starts = spread(add_ons.control_start, len(nets), "control_guidance_start")
    ends = spread(add_ons.control_end, len(nets), "control_guidance_end")
    return Control(
        net=net,
        pictures=pictures,
        scales=tuple(
            tuple(
                scale if start <= step / num_steps and (step + 1) / num_steps <= end else 0.0
                for scale, start, end in zip(scales, starts, ends, strict=True)
            )
            for step in range(num_steps)
        ),
        guess_mode=add_ons.guess_mode or nets[0].config.global_pool_conditions,
    )


def _features(
    components: Components,
    add_ons: AddOns,
    size: tuple[int, int],
    num_images: int,
    hole: Hole | None,
) -> tuple[Tensor, ...]:
    adapter = components.adapter
    if adapter is None:
        raise ValueError(
            "There is an adapter image, and the pipeline has no T2I-Adapter; set one "
            "(pipeline.adapter = T2IAdapter.from_pretrained(...))."
        )
    assert add_ons.adapter_image is not None, "asked for with a picture"
    multiple = adapter.total_downscale_factor
    if any(side % multiple for side in size):
        raise ValueError(
            f"The picture is {size[0]} x {size[1]} pixels; this T2I-Adapter needs sides that are "
            f"multiples of {multiple}."
        )
    pixels = _pixels(add_ons.adapter_image, size, num_images, hole, adapter.config.in_channels)
    features = adapter(pixels.to(components.device, adapter.dtype))
    dtype = components.unet.dtype
    return tuple((add_ons.adapter_scale * feature).to(dtype) for feature in features)


def _pixels(
    pictures: Pictures, size: tuple[int, int], num_images: int, hole: Hole | None, channels: int
) -> Float[Tensor, "B C H W"]:
    """Return pictures as the networks read them, one for each picture of the run.

    Raises:
        ValueError: there are neither one nor as many as prompts, or they do not lie over the
            picture that is repainted.
    """
    width, height = size
    if isinstance(pictures, Image.Image):
        pictures = [pictures]
    if hole is not None:
        pictures = [_in_area(picture, hole) for picture in pictures]
    if not isinstance(pictures, Tensor):
        mode = "L" if channels == 1 else "RGB"
        pictures = [picture.convert(mode) for picture in pictures]
    reader = VaeImageProcessor(vae_scale_factor=1, do_normalize=False)
    pixels = reader.preprocess(pictures, height=height, width=width).float()
    if num_images % len(pixels):
        raise ValueError(
            f"There are {len(pixels)} control or adapter images and {num_images} pictures; give "
            "one for all, or one for each prompt."
        )
    return pixels.repeat_interleave(num_images // len(pixels), dim=0)


def _in_area(picture: Image.Image | Tensor, hole: Hole) -> Image.Image:
    if not isinstance(picture, Image.Image) or picture.size != hole.picture.size:
        shown = picture.size if isinstance(picture, Image.Image) else tuple(picture.shape)
        raise ValueError(
            f"The control or adapter image is {tuple(shown)}, and the picture to inpaint "
            f"{hole.picture.size}; give a picture (PIL) of the same size, so that the one lies "
            "over the other."
        )
    return picture_in_area(picture.convert("RGB"), hole.area)


def joined_controlnets(
    controlnet: ControlNetModel | MultiControlNetModel | Sequence[ControlNetModel] | None,
) -> Any:
    """Return several ControlNets as one, anything else as it is."""
    if isinstance(controlnet, (list, tuple)):
        return MultiControlNetModel(controlnet)
    return controlnet


def controlnet_from_unet(unet: UNet2DConditionModel, **options: Any) -> ControlNetModel:
    """Make a new ControlNet from a grounded UNet, to be trained: a copy of the base's encoder.

    `ControlNetModel.from_unet` fails on the gated layers and copies further input channels; a
    ControlNet has neither.

    Args:
        unet: of any kind; it is not changed.
        options: further arguments of `ControlNetModel.from_unet`.
    """
    conv_in = unet.conv_in
    latent = unet.config.out_channels
    weight = getattr(conv_in, "base_weight", conv_in.weight)[:, :latent]
    bias = getattr(conv_in, "base_bias", conv_in.bias)
    state = {key: value for key, value in unet.state_dict().items() if not is_grounding_key(key)}
    state = {key: value for key, value in state.items() if not key.startswith("conv_in.")}
    state |= {"conv_in.weight": weight, "conv_in.bias": bias}
    known = inspect.signature(UNet2DConditionModel.__init__).parameters  # the kind is ours
    plain = {name: value for name, value in unet.config.items() if name in known}
    plain |= {"attention_type": "default", "in_channels": latent}
    with torch.device("meta"):
        base = UNet2DConditionModel(**plain)
    base.load_state_dict(state, assign=True)
    net = ControlNetModel.from_unet(base, **options).to(weight.device)
    return net if net.dtype == weight.dtype else net.to(weight.dtype)
