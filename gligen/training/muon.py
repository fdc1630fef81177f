"""AdamW for vectors and Muon for matrices, as one optimiser.

Muon replaces a matrix's averaged gradient by the nearest orthogonal matrix, so that a step goes
equally far in all its directions (Jordan et al. 2024; scaled to AdamW's usual step as by Liu et
al., arXiv 2502.16982). The matrices' own steps are `torch.optim.Muon`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class MuonAdamW(torch.optim.Optimizer):
    """Steps of Muon for some parameters, of AdamW for the others.

    Args:
        matrices: parameters of at least two dimensions; a convolution counts as a matrix whose rows
            are its filters.
        others: all other parameters.
        lr: of both.
        betas: AdamW's.
        weight_decay: of both, decoupled.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ):
        matrices, others = list(matrices), list(others)
        groups = [{"params": own} for own in (others, matrices) if own]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self._adam = self._muon = None
        if others:
            self._adam = torch.optim.AdamW(
                others, lr=lr, betas=betas, weight_decay=weight_decay, fused=True
            )
        self._matrices = matrices
        # The same memory, seen as matrices.
        self._are_last = [_is_channels_last(m) for m in matrices]
        self._views = [
            nn.Parameter(_rows(m.data, is_last).view(len(m), -1))
            for m, is_last in zip(matrices, self._are_last, strict=True)
        ]
        if matrices:
            self._muon = torch.optim.Muon(
                self._views, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride] (torch overloads it)
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Follow the gradients; a parameter without one stays as it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        each = zip(self._matrices, self._views, self._are_last, strict=True)
        for matrix, view, is_last in each:
            view.grad = None
            if matrix.grad is not None:
                view.grad = _rows(matrix.grad, is_last).reshape(view.shape)
        for optimizer in self._parts().values():
            for group in optimizer.param_groups:
                group["lr"] = self.param_groups[0]["lr"]
            optimizer.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both parts."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned.

        Raises:
            ValueError: it is of other parameters.
        """
        if state_dict.keys() != self._parts().keys():
            raise ValueError(
                f"The optimiser's state has the parts {', '.join(state_dict)}, not "
                f"{', '.join(self._parts())}; it belongs to other parameters."
            )
        for name, part in self._parts().items():
            part.load_state_dict(state_dict[name])

    def _parts(self) -> dict[str, torch.optim.Optimizer]:
        parts = {"adamw": self._adam, "muon": self._muon}
        return {name: part for name, part in parts.items() if part is not None}


def _is_channels_last(parameter: nn.Parameter) -> bool:
    if parameter.ndim != 4 or parameter.is_contiguous():
        return False
    return parameter.is_contiguous(memory_format=torch.channels_last)


def _rows(filters: Tensor, is_channels_last: bool) -> Tensor:
    """Order the entries of filters as in memory; which column is which does not matter to Muon."""
    return filters.permute(0, 2, 3, 1) if is_channels_last else filters


def inner_matrices(*modules: nn.Module) -> list[nn.Parameter]:
    """Return the trained weights between inner layers, for Muon.

    Embeddings, first and last convolutions and depthwise ones are no maps between hidden states.
    """
    outer = ("embedding.weight", "embeddings", "conv_in.weight", "conv_out.weight")
    return [
        parameter
        for module in modules
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
        and parameter.ndim in (2, 4)
        and parameter.shape[1] > 1
        and not name.endswith(outer)
    ]
