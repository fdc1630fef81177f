"""The samplers by name, without torch, for whoever only offers or checks them."""

from typing import Any

# Name, as command line and page show it -> class of the diffusers scheduler and what it differs in
# from the pipeline's own scheduler.
DIFFUSERS_SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
}
# PLMS and DDIM are those of `gligen.sampling`.
SAMPLERS = ("plms", "ddim", *DIFFUSERS_SAMPLERS)
