"""What a saved pipeline's folder says of itself, so that diffusers' own pipelines load it too."""

import json
import os
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline, UNet2DConditionModel

from gligen.addons.lora import check_no_lora
from gligen.kinds import KEYPOINT, MAP, TEXT_BOX, TEXT_IMAGE_BOX
from gligen.unet import ablations, kind_of, modality_of

# Components that only the text-image kinds have.
REFERENCE_PARTS = ("image_encoder", "image_project", "processor")
# Networks beside the UNet, and what reads pictures for an IP-Adapter.
SIDE_PARTS = ("controlnet", "adapter", "ip_adapter_image_encoder")
FURTHER_PARTS = REFERENCE_PARTS + SIDE_PARTS

# Diffusers' pipeline for a modality; None is a UNet without grounding.
_CLASSES = {
    TEXT_BOX: "StableDiffusionGLIGENPipeline",
    TEXT_IMAGE_BOX: "StableDiffusionGLIGENTextImagePipeline",
    None: "StableDiffusionPipeline",
}


def check_savable(unet: UNet2DConditionModel | None) -> None:
    """Refuse a UNet that diffusers could not build from its folder.

    Raises:
        ValueError: it is of the keypoint kind or of a map kind, or has the layers of an ablation.
    """
    if unet is None:
        return
    ablated = ", ".join(ablations(unet).values())
    if ablated or modality_of(unet) in (KEYPOINT, MAP):
        kind = kind_of(unet)
        what = f"the kind {kind}" + (f" with {ablated}" if ablated else "")
        raise ValueError(
            f"A diffusers folder has no form for {what}. Save what belongs to the kind "
            f"with gligen.weights.checkpoints.save_adapter('{kind}.safetensors', pipeline.unet, "
            f"'{kind}'), and put it on its base again with "
            "gligen.loading.load_pipeline(path, base=...)."
        )


def write_index(path: str | os.PathLike, index: str, unet: UNet2DConditionModel | None) -> None:
    """Write a pipeline's index (`model_index.json`) as that of diffusers' pipeline for its kind.

    Args:
        path: where; the file appears whole or not at all.
        index: the pipeline's configuration as JSON.
        unet: says which kind it is.
    """
    entries = json.loads(index)
    entries["_class_name"] = _CLASSES[None if unet is None else modality_of(unet)]
    for name in FURTHER_PARTS:
        if entries.get(name) == [None, None]:
            del entries[name]  # diffusers' text-box pipeline does not know the name
    whole = Path(path)
    temporary = whole.with_name(f"{whole.name}.part")
    temporary.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(whole)


class FolderMixin(DiffusionPipeline):
    """Saving a pipeline as a folder."""

    unet: Any
    text_encoder: Any

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        safe_serialization: bool = True,
        variant: str | None = None,
        **options: Any,
    ) -> None:
        """Save a folder in diffusers' form, which diffusers' own pipelines load too.

        Args:
            save_directory: made if it is missing.
            safe_serialization: True: safetensors.
            variant: put into the files' names, "fp16" for example.
            options: what else diffusers' `DiffusionPipeline.save_pretrained` takes.

        Raises:
            ValueError: diffusers' folders have no form for the kind, or for a loaded LoRA.
        """
        check_savable(self.unet)
        check_no_lora(self.unet, self.text_encoder)
        super().save_pretrained(save_directory, safe_serialization, variant, **options)

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Write the folder's index, in which diffusers finds its own pipeline for this kind."""
        write_index(json_file_path, self.to_json_string(), self.unet)
