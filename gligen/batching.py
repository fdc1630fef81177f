"""Requests of several people painted side by side: one evaluation of the UNet answers all.

Only the UNet is shared. Each request has texts, grounding, noise, sampler, guidance and decoding of
its own, computed as if it were alone, so nothing of one can reach another: every row of the UNet
depends on itself alone.

The results are those of the requests alone: bit for bit where the UNet computes a row the same in
any batch (bfloat16 on the CPU does), and else up to its rounding. In float32 on the CPU oneDNN
chooses another blocking for some convolutions when there are more rows; the last latents of the
embedded model then differ by a relative RMS of 2e-6 (50 steps) to 6e-6 (6 steps).
`benchmarks/batched_serving.py` measures it.
"""

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gligen.callargs import read_size
from gligen.components import Components
from gligen.guidance import Halves, join
from gligen.kinds import MAP, kind_named
from gligen.outofmemory import InParts
from gligen.presets import Preset
from gligen.request import Request, Result
from gligen.run import Run
from gligen.running import Begun, begin, prepared_model
from gligen.sampling import Question, Step, ask


@dataclass(frozen=True)
class Failed:
    """A request that cannot be answered; the others go on."""

    error: Exception


# The number of the request, counted from 0, and what there is to say of it
Event = tuple[int, Step | Result | Failed]


def sharing_key(components: Components, request: Request) -> Hashable | None:
    """Return what two requests must have in common to be painted together.

    Guidance scale and rescale, sizes of batches, texts and seeds may differ; None: this one is
    painted alone (a hole has its own part in every step, and so has a preset that ends guidance or
    leaves levels out).

    Raises:
        ValueError: the model cannot paint the size that is asked for.
    """
    preset = Preset.from_text(request.preset)
    is_usual = preset.guided_share == 1 and not preset.keeps_deep_features
    if request.inpaint_image is not None or components.is_inpainting or not is_usual:
        return None
    kind = kind_named(components.kind)
    tau = kind.usual_tau if request.gate_schedule is None else request.gate_schedule
    return (
        read_size(components, None, request.width, request.height),
        preset,
        request.num_steps,
        request.sampler_name,
        tau,
        request.guidance_scale > 1,
        # With a map the first convolution reads more channels than without.
        kind.modality == MAP and request.layout.map is not None,
    )


def can_share(components: Components, a: Request, b: Request) -> bool:
    """Whether two requests can be painted together.

    Raises:
        ValueError: the model cannot paint a size that is asked for.
    """
    key = sharing_key(components, a)
    return key is not None and key == sharing_key(components, b)


@dataclass(frozen=True)
class Entry:
    """One request, checked."""

    run: Run
    finish: Callable[[Tensor], Result]  # from the last latents


@dataclass
class _Member:
    """One request of a batch."""

    number: int
    begun: Begun
    finish: Callable[[Tensor], Result]
    loop: Generator[Question | Step, Tensor | None, None]
    rows: slice  # of the pictures of the batch
    question: Question | None = None  # None: not asked yet
    is_wanted: bool = True


class Together(Iterator[Event]):
    """Several requests on their way; see `GligenPipeline.stream_together`.

    A request that left is no longer heard of. Its pictures stay in the batch, on the latents that
    they had, until the last request is answered: the convolutions of some devices round by the
    size of the batch, and the others must not notice. When all have left, the work ends.
    """

    def __init__(
        self, components: Components, entries: Sequence[Entry | Failed], end: Callable[[], None]
    ):
        self._components = components
        self._entries = entries
        self._left: set[int] = set()
        self._events = self._run(end)

    def __next__(self) -> Event:
        """Return the next event of a request that has not left."""
        while True:
            number, event = next(self._events)
            if number not in self._left:
                return number, event

    def leave(self, number: int) -> None:
        """Take a request out: nothing more is computed for it than goes along in the batch."""
        self._left.add(number)

    def close(self) -> None:
        """Stop the work at once and leave nothing behind."""
        self._events.close()

    def _run(self, end: Callable[[], None]) -> Generator[Event, None, None]:
        try:
            members: list[_Member] = []
            for number, entry in enumerate(self._entries):
                if number in self._left:
                    continue
                if isinstance(entry, Failed):
                    yield number, entry
                    continue
                try:
                    members.append(self._begin(number, entry, members))
                except Exception as error:  # noqa: BLE001 (theirs alone; the others go on)
                    yield number, Failed(error)
            if members:
                yield from self._paint(members)
        finally:
            end()

    def _begin(self, number: int, entry: Entry, members: list[_Member]) -> _Member:
        begun = begin(self._components, entry.run)
        # One UNet is prepared for all: its merged weights are as large as a third of the model.
        if not members:
            model = prepared_model(self._components, entry.run, begun)
        else:
            model = replace(begun.model, prepared=members[0].begun.model.prepared)
        begun = replace(begun, model=model)
        first = members[-1].rows.stop if members else 0
        loop = ask(begun.sampler, begun.noise, begun.gates)
        rows = slice(first, first + len(begun.noise))
        return _Member(number, begun, entry.finish, loop, rows)

    def _paint(self, members: list[_Member]) -> Iterator[Event]:
        model, parts = join([member.begun.model for member in members]), InParts()
        answers: dict[int, Tensor | None] = dict.fromkeys(m.number for m in members)
        last: dict[int, Step] = {}
        while True:
            # Each goes on to its next question, or is through.
            for member in members:
                event = self._go_on(member, answers[member.number])
                while isinstance(event, Step):
                    last[member.number] = event
                    yield member.number, event
                    event = self._go_on(member, None)
                if isinstance(event, Failed):
                    yield member.number, event
            asking = [m for m in members if self._is_wanted(m) and m.question is not None]
            if not asking:
                break
            try:
                halves = parts.halves(model, _joined(members, asking))
            except Exception as error:  # noqa: BLE001 (each is told; what they share is broken)
                for member in asking:
                    yield member.number, Failed(error)
                return
            for member in asking:
                answers[member.number] = _answer(member, halves)
        del model, parts
        for member in members:
            if self._is_wanted(member):
                yield member.number, _finished(member, last[member.number])

    def _go_on(self, member: _Member, answer: Tensor | None) -> Step | Failed | None:
        """Return the member's next step or failure; None: it has asked, or is through."""
        if not self._is_wanted(member):
            return None
        try:
            event = member.loop.send(answer)
        except StopIteration:
            member.question = None
            return None
        except Exception as error:  # noqa: BLE001 (theirs alone; the others go on)
            member.is_wanted = False
            return Failed(error)
        if isinstance(event, Step):
            return event
        member.question = event
        return None

    def _is_wanted(self, member: _Member) -> bool:
        return member.is_wanted and member.number not in self._left


def _joined(members: Sequence[_Member], asking: Sequence[_Member]) -> Question:
    """Return one question for all; who left is represented by what was asked last."""
    first = asking[0].question
    assert first is not None, "those who ask have a question"
    latents = []
    for member in members:
        question = member.question
        latents.append(member.begun.noise if question is None else question.latents)
    for member in asking:
        question = member.question
        assert question is not None, "those who ask have a question"
        is_same = (question.timestep, question.gate_scale) == (first.timestep, first.gate_scale)
        assert is_same, "requests that share have the same steps"
    return replace(first, latents=torch.cat(latents))


def _answer(member: _Member, halves: Halves) -> Tensor:
    unconditional, conditional = halves
    if unconditional is not None:
        unconditional = unconditional[member.rows]
    return member.begun.model.guide(unconditional, conditional[member.rows])


def _finished(member: _Member, step: Step) -> Result | Failed:
    try:
        return member.finish(step.latents)
    except Exception as error:  # noqa: BLE001 (theirs alone; the others have their pictures)
        return Failed(error)
