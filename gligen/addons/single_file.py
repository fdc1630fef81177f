"""`from_single_file`: one checkpoint or adapter file to a pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.loaders import FromSingleFileMixin

if TYPE_CHECKING:
    from gligen.pipeline import GligenPipeline


class SingleFileMixin(FromSingleFileMixin):
    """Loading a pipeline from one file, by this library's readers."""

    @classmethod
    def from_single_file(
        cls,
        pretrained_model_link_or_path: str | Path,
        *,
        kind: str | None = None,
        base: str | Path | None = None,
        tokenizer: str | Path | None = None,
        torch_dtype: str | torch.dtype | None = None,
        dtype: str | torch.dtype | None = None,
        device: str | torch.device | None = "cpu",
        **components: Any,
    ) -> "GligenPipeline":
        """Load a pipeline from one file: an official checkpoint, or an adapter with its base.

        Args:
            pretrained_model_link_or_path: any source of `gligen.loading.load_pipelines`.
            kind: which kind to load where the file holds several; None: the first.
            base: a Stable Diffusion 1.x model for the new layers, folder or single file.
            tokenizer: folder or hub id of a CLIP tokenizer, where no file brings one.
            torch_dtype: of the weights; None: float16 on CUDA, else float32.
            dtype: likewise, diffusers' newer name.
            device: where the models are put; None: the fastest there is.
            components: further parts of the pipeline, for example `scheduler` or `controlnet`,
                which take the place of what was read.

        Raises:
            ValueError: the file cannot be read, or does not hold the kind; one sentence says why.
            TypeError: the pipeline has no such component.
        """
        from gligen.loading import load_pipelines  # here, because loading builds on the pipeline

        kinds = None if kind is None else (kind,)
        loaded = load_pipelines(
            pretrained_model_link_or_path, kinds, base, device, dtype or torch_dtype, tokenizer
        )
        pipeline = next(iter(loaded.values()))
        if not components:
            return pipeline
        build: Any = cls
        rebuilt = build(**{**pipeline.components, **components})
        rebuilt.model_name = pipeline.model_name
        return rebuilt
