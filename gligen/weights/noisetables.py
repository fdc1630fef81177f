"""The twelve tables of the noise schedule that the authors' checkpoints carry.

Nobody needs them to read a checkpoint; they are written so that the original code can use one.
"""

import torch
from torch import Tensor

BETA_START, BETA_END, NUM_STEPS = 0.00085, 0.012, 1000


def noise_tables() -> dict[str, Tensor]:
    """Return the section `diffusion` of a checkpoint, each table of 1000 float32 values.

    Stable Diffusion 1.x: the square root of beta rises linearly from 0.00085 to 0.012 (squares).
    The last four are the posterior of a denoising step, in the notation of arXiv 2006.11239,
    equations (6) and (7). Computed in float64.
    """
    roots = torch.linspace(BETA_START**0.5, BETA_END**0.5, NUM_STEPS, dtype=torch.float64)
    betas = roots**2
    alphas = 1 - betas
    products = alphas.cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), products[:-1]])
    variance = betas * (1 - before) / (1 - products)
    tables = {
        "betas": betas,
        "alphas_cumprod": products,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": products.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - products).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - products).log(),
        "sqrt_recip_alphas_cumprod": (1 / products).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / products - 1).sqrt(),
        "posterior_variance": variance,
        # The first step's variance is 0; its logarithm is cut off.
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / (1 - products),
        "posterior_mean_coef2": (1 - before) * alphas.sqrt() / (1 - products),
    }
    return {name: table.float() for name, table in tables.items()}
