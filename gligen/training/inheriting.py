"""New layers that begin as those of another kind: what a box means need not be learned twice.

Kinds with boxes have equal gated layers. Their tokenizers read the same phrases and boxes, and a
reference picture is a feature that lies where the phrases' features lie, but for its norm. So a
trained adapter for phrases in boxes repaints holes, or follows pictures, nearly from the start.
"""

import torch
from torch import Tensor

from gligen.components import Components
from gligen.encoding import encode_phrases
from gligen.kinds import TEXT_BOX, TEXT_IMAGE_BOX, kind_named
from gligen.references import REFERENCE_NORM
from gligen.tokenizers import TextImageBoxTokenizer
from gligen.unet import is_grounding_key
from gligen.weights.adapters import Adapter
from gligen.weights.recognition import TRAINED_FIRST

# Any words will do to measure how long the feature of a phrase is: the last normalisation of the
# text encoder makes all about equally long.
MEASURED = ("a dog", "a tree", "a house")


def can_inherit(kind: str, origin: str) -> bool:
    """Whether layers of a kind can begin as those of another."""
    new, old = kind_named(kind), kind_named(origin)
    if not (new.takes_regions and old.takes_regions) or kind == origin:
        return False
    # What generates never saw the further channels of a hole; what repaints cannot do without.
    grows = new.is_inpainting or not old.is_inpainting
    return grows and (old.modality == TEXT_BOX or new.modality == TEXT_IMAGE_BOX)


@torch.no_grad()
def inherit_layers(components: Components, adapter: Adapter) -> None:
    """Set the new layers of a model to those of an adapter of another kind.

    Args:
        components: of a grounded model; its UNet's new layers are changed in place.
        adapter: of a kind that `can_inherit` allows, for a base of the same sizes.

    Raises:
        ValueError: the kinds have nothing in common, or the sizes differ.
    """
    if not can_inherit(components.kind, adapter.kind):
        raise ValueError(
            f"The adapter to go on from is of the kind {adapter.kind}, and layers of the kind "
            f"{components.kind} cannot begin as its; give an adapter of the same kind, or for "
            "kinds with boxes one of generation_text_box."
        )
    unet = components.unet
    given = adapter.state
    if isinstance(unet.position_net, TextImageBoxTokenizer) and "position_net.linears.0.weight" in (
        given
    ):
        length = encode_phrases(components.tokenizer, components.text_encoder, MEASURED)
        given = _two_branches(given, length.norm(dim=1).mean().item() / REFERENCE_NORM)
    inherited = {
        name: tensor
        for name, tensor in given.items()
        if is_grounding_key(name) or (name in TRAINED_FIRST and components.is_inpainting)
    }
    wanted = unet.state_dict()
    for name, tensor in inherited.items():
        if name not in wanted or wanted[name].shape != tensor.shape:
            raise ValueError(
                f"The adapter to go on from ({adapter.kind}) is made for a base of other sizes: "
                f"its {name} does not fit. Give one that was trained on the same base."
            )
        wanted[name].copy_(tensor)


def _two_branches(state: dict[str, Tensor], phrase_length: float) -> dict[str, Tensor]:
    """Read phrases and pictures as the phrases of a text-box tokenizer.

    Args:
        state: of an adapter for phrases in boxes.
        phrase_length: norm of a phrase's feature, of a picture's.
    """
    prefix = "position_net."
    branches = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    null = state[f"{prefix}null_positive_feature"]
    branches[f"{prefix}null_position_feature"] = state[f"{prefix}null_position_feature"]
    branches[f"{prefix}null_text_feature"] = null
    branches[f"{prefix}null_image_feature"] = null / phrase_length
    for name, tensor in state.items():
        if not name.startswith(f"{prefix}linears."):
            continue
        layer = name.removeprefix(f"{prefix}linears.")
        branches[f"{prefix}linears_text.{layer}"] = tensor
        reading = tensor.clone()
        if layer == "0.weight":
            reading[:, : len(null)] *= phrase_length
        branches[f"{prefix}linears_image.{layer}"] = reading
    return branches
