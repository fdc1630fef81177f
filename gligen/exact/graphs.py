"""Evaluations of a UNet recorded once and replayed, which spares the host all launches.

A recording reads and writes fixed places in memory. So every replay begins with putting into those
places what the evaluation is about: latents, time, gates, and, once in a run, what is attended to.
Two recordings are made for each number of rows and size: with grounding and without.

Shapes: B pictures, R rows (both halves of guidance, or one), latents [B, c, h, w].
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gligen.exact.layers import BlockInputs, Gates
from gligen.exact.unet import Conditioning, PreparedUNet

KEPT_RECORDINGS = 8  # of each UNet: grounded and plain, for four sizes or numbers of pictures


@runtime_checkable
class Recorder(Protocol):
    """What records an evaluation."""

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Return what replays `run`, and the tensor in which each replay leaves its result."""
        ...


class CudaRecorder:
    """Record on a CUDA device; all recordings share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Run once to warm up on a stream of its own, as CUDA wants it, then record."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            output = run()
        return graph.replay, output


@dataclass
class _Recording:
    """The places that a recording reads, and what stands in them."""

    x: Tensor
    biases: list[Tensor]  # views of one row after another
    row: Tensor
    conditioning: Conditioning
    gates: list[Gates | None]
    replay: Callable[[], None]
    output: Tensor
    loaded: Conditioning | None = None  # what was copied into `conditioning` last

    def load(
        self,
        x: Tensor,
        biases: list[Tensor],
        conditioning: Conditioning,
        gates: list[Gates | None],
    ) -> None:
        """Put everything in its place; what is attended to only where it is another."""
        self.x.copy_(x)
        torch.cat(biases, out=self.row)
        for place, gate in zip(self.gates, gates, strict=True):
            if place is not None and gate is not None:
                place.attention.copy_(gate.attention)
                place.dense.copy_(gate.dense)
        if self.loaded is not conditioning:
            for place, value in zip(
                _tensors(self.conditioning), _tensors(conditioning), strict=True
            ):
                place.copy_(value)
            self.loaded = conditioning


class GraphedUNet:
    """A prepared UNet whose evaluations are recorded; called as the prepared one.

    Recordings outlive a run. They are made anew where the weights lie elsewhere than before;
    weights that changed in their places are seen, those that a `PreparedUNet` merges are copied.
    """

    def __init__(self, prepared: PreparedUNet, recorder: Recorder):
        self._recordings: OrderedDict[tuple, _Recording] = OrderedDict()
        self._recorder = recorder
        self._prepared = prepared  # that of the first run, whose places were recorded
        self._fresh = prepared  # that of this run
        self._addresses = _addresses(prepared.unet)

    @property
    def unet(self) -> Any:
        """The UNet itself."""
        return self._fresh.unet

    def renew(self, prepared: PreparedUNet) -> None:
        """Go on with the UNet as it was prepared for another run."""
        self._fresh = prepared
        addresses = _addresses(prepared.unet)
        merged, fresh = self._prepared.merged(), prepared.merged()
        same = [a.shape for a in merged] == [b.shape for b in fresh]
        if addresses != self._addresses or not same or self._prepared.options != prepared.options:
            self._recordings.clear()
            self._prepared, self._addresses = prepared, addresses
            return
        for place, value in zip(merged, fresh, strict=True):
            place.copy_(value)

    def conditioning(self, *args: Any) -> Conditioning:
        """Prepare what is attended to; see `PreparedUNet.conditioning`."""
        return self._fresh.conditioning(*args)

    @torch.no_grad()
    def __call__(
        self,
        x: Float[Tensor, "B c h w"],
        timestep: float,
        conditioning: Conditioning,
        gate_scale: float,
    ) -> Float[Tensor, "R out h w"]:
        """Evaluate the UNet once; see `PreparedUNet.__call__`."""
        biases = self._fresh.biases(timestep)
        gates = self._fresh.open_gates(gate_scale, conditioning)
        shapes = tuple(tensor.shape for tensor in _tensors(conditioning))
        key = (x.shape, x.dtype, gates[0] is None, shapes)
        if key not in self._recordings:
            self._recordings[key] = self._record(x, biases, conditioning, gates)
        self._recordings.move_to_end(key)
        while len(self._recordings) > KEPT_RECORDINGS:
            self._recordings.popitem(last=False)
        recording = self._recordings[key]
        recording.load(x, biases, conditioning, gates)
        recording.replay()
        return recording.output.clone()

    def _record(
        self,
        x: Tensor,
        biases: list[Tensor],
        conditioning: Conditioning,
        gates: list[Gates | None],
    ) -> _Recording:
        places = x.clone(), _copied(conditioning), [gate and _copied_gates(gate) for gate in gates]
        x, conditioning, gates = places
        row = torch.cat(biases)
        biases = list(row.split([len(bias) for bias in biases]))
        replay, output = self._recorder.record(
            lambda: self._prepared.evaluation(x, biases, conditioning, gates)
        )
        return _Recording(x, biases, row, conditioning, gates, replay, output)


class Graphs:
    """The recordings of a pipeline, kept between its runs.

    Args:
        recorder: makes what records; called when the first run begins.
    """

    def __init__(self, recorder: Callable[[], Recorder] = CudaRecorder):
        self._recorder = recorder
        self._graphed: GraphedUNet | None = None

    def of(self, prepared: PreparedUNet) -> GraphedUNet:
        """Return the recordings of a UNet, for a run that it was prepared for."""
        if self._graphed is not None and self._graphed.unet is prepared.unet:
            self._graphed.renew(prepared)
        else:
            self._graphed = GraphedUNet(prepared, self._recorder())
        return self._graphed


def _addresses(unet: nn.Module) -> tuple[int, ...]:
    return tuple(parameter.data_ptr() for parameter in unet.parameters())


def _tensors(conditioning: Conditioning) -> list[Tensor]:
    """Return what an evaluation reads of a conditioning; the strength has gone into the gates."""
    return [
        tensor
        for block in conditioning.blocks
        for tensor in (block.context, *(block.prompt or ()), block.tokens, block.grounding)
        if tensor is not None
    ]


def _copied(conditioning: Conditioning) -> Conditioning:
    def clone(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.clone()

    blocks = [
        BlockInputs(
            block.context.clone(),
            block.prompt and (block.prompt[0].clone(), block.prompt[1].clone()),
            clone(block.tokens),
            clone(block.grounding),
        )
        for block in conditioning.blocks
    ]
    return Conditioning(blocks, clone(conditioning.strength))


def _copied_gates(gates: Gates) -> Gates:
    return Gates(gates.attention.clone(), gates.dense.clone())
