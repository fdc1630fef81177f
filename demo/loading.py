"""From the flags to a service with a loaded model."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from demo.flags import Flags
from demo.service import GENERATION, LocalService
from demo.startup import Choice, card_of, choose_model, usual_batch
from demo.texts import operations as texts
from gligen.embedded import EMBEDDED, OFFICIAL
from gligen.loading import choose_device, load_pipelines
from gligen.memory import ON_DEVICE, Plan, apply, plan
from gligen.pipeline import GligenPipeline
from gligen.safety import check_pictures_of, is_released, load_safety_checker


def load_service(flags: Flags) -> LocalService:
    """Load the model that the flags ask for.

    Raises:
        ValueError: it cannot be had, or a device or dtype cannot be used.
    """
    device = choose_device(flags.device)
    choice = choose_model(flags, has_cuda=device.type == "cuda")
    budget = flags.device_budget
    # What may not fit on the device is looked at elsewhere first.
    loading = flags if budget is None else replace(flags, device="cpu", dtype=_dtype(flags, device))
    try:
        pipelines = load_kinds(choice.source, loading)
        safety = add_safety(choice.source, pipelines, loading)
    except ValueError as error:
        if flags.model != "auto" or choice.source == EMBEDDED:
            raise
        choice = Choice(EMBEDDED, f"The official models could not be had: {error}")
        pipelines, safety = load_kinds(choice.source, loading), []
    if flags.compiles:
        for pipeline in pipelines.values():
            pipeline.exact_options = replace(pipeline.exact_options, compiled=True)
    placed = [] if budget is None else place(pipelines, budget, device, flags.max_batch)
    semantic = pipelines.get("semantic")
    card = card_of(
        choice,
        flags,
        str(device),
        {kind: pipeline.image_size for kind, pipeline in pipelines.items()},
        () if semantic is None else semantic.label_names,
        notes=(*safety, *(plan.reason for plan in placed)),
        max_batch=min((plan.max_batch for plan in placed), default=None),
    )
    return LocalService(pipelines, card)


def place(
    pipelines: Mapping[str, GligenPipeline],
    budget: int,
    device: torch.device,
    max_batch: int | None,
) -> list[Plan]:
    """Put the models where they fit into a budget of memory; return what was decided.

    Raises:
        ValueError: several kinds do not fit together, and only one can be kept elsewhere.
    """
    pipes = list(pipelines.values())
    plans = []
    for number, pipeline in enumerate(pipes):
        others = [part for other in pipes[:number] + pipes[number + 1 :] for part in _parts(other)]
        others.append(pipeline.safety_checker)
        components = replace(pipeline._components, device=device)
        plans.append(plan(components, budget, max_batch or usual_batch(device.type), others=others))
    if len(pipes) > 1 and any(found.placement != ON_DEVICE for found in plans):
        raise ValueError(texts.BUDGET_FOR_ONE.format(kinds=len(pipes), reason=plans[0].reason))
    for pipeline, found in zip(pipes, plans, strict=True):
        apply(pipeline, found, device)
    return plans[:1] if len({found.reason for found in plans}) == 1 else plans


def _parts(pipeline: GligenPipeline) -> list[nn.Module]:
    return [part for part in pipeline.components.values() if isinstance(part, nn.Module)]


def _dtype(flags: Flags, device: torch.device) -> str:
    """Return the dtype that loading onto the device itself would choose."""
    return flags.dtype or ("float16" if device.type == "cuda" else "float32")


def load_kinds(source: str, flags: Flags) -> dict[str, GligenPipeline]:
    """Load the kinds that the flags ask for, or leave open and the source holds."""
    if source == OFFICIAL:
        # As in the original: generation unless it is refused, all others when they are asked for.
        kinds = [k for k, said in flags.load.items() if said or (said is None and k == GENERATION)]
    elif all(said is False for said in flags.load.values()):
        kinds = []
    else:
        # The layers of canny and depth are the same; only who names the file knows which it is.
        named = [kind for kind in ("canny", "depth") if flags.load[kind]]
        kinds = named if named and Path(source).is_file() else None
    if kinds == []:
        return {}
    found = load_pipelines(
        source,
        kinds,
        flags.base,
        flags.device,
        flags.dtype,
        trained_on=flags.trained_on,
        projection=flags.projection,
    )
    return {kind: pipe for kind, pipe in found.items() if flags.load.get(kind) is not False}


def add_safety(source: str, pipelines: Mapping[str, GligenPipeline], flags: Flags) -> list[str]:
    """Put the safety checker onto released models unless it is refused; return what to say.

    Raises:
        ValueError: it cannot be had.
    """
    if not pipelines or not is_released(source):
        return []
    if not flags.checks_safety:
        return [texts.CHECKER_IS_OFF]
    unet = next(iter(pipelines.values())).unet
    try:
        checker = load_safety_checker(unet.device, unet.dtype)
    except ValueError as error:
        raise ValueError(texts.NO_CHECKER.format(error=error)) from None
    check_pictures_of(pipelines.values(), checker)
    return [texts.CHECKER_IS_ON]
