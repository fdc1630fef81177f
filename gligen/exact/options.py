"""Which savings are made. All are exact: equal in real arithmetic, so only rounding differs."""

from dataclasses import dataclass

# How a nearest-neighbour upsampling by 2 and the 3x3 convolution behind it are computed: as they
# are, as one transposed convolution, as four 2x2 convolutions (one for each parity of row and
# column), by the rule for the device, or as whichever of these is fastest when it is tried.
PLAIN, TRANSPOSED, PHASES, RULE, TIMED = "plain", "transposed", "phases", "rule", "timed"
UPSAMPLE_FORMS = (PLAIN, TRANSPOSED, PHASES, RULE, TIMED)


@dataclass(frozen=True)
class ExactOptions:
    """The savings that a pipeline makes; by default all that need no patience.

    The results of two choices differ by rounding alone, and those of one choice not at all.
    `upsample="timed"` is the exception: what it picks may differ between two starts of Python.

    Raises:
        ValueError: there is no such way to upsample.
    """

    # Keys and values of the grounding tokens once per run; queries of the visual tokens alone.
    cached_grounding: bool = True
    cached_prompt: bool = True  # keys and values of the prompt once per run
    time_table: bool = True  # time embedding and its projections for all steps at once
    shared_prefix: bool = True  # what comes before the text, for one half of guidance alone
    fused_projections: bool = True  # queries, keys and values in one product
    # 1x1 convolutions as products that give the layout which is wanted next; channels last have it
    pointwise_products: bool = True
    batched_text: bool = True  # prompts and phrases in one pass, kept for the next request
    upsample: str = RULE  # one of UPSAMPLE_FORMS, in UNet and decoder
    graphs: bool = True  # on CUDA: evaluations are recorded once and replayed
    # By torch.compile: the first evaluation with grounding and the first without take a minute or
    # more, those that follow have fewer kernels. For whoever paints many pictures.
    compiled: bool = False

    def __post_init__(self):
        if self.upsample not in UPSAMPLE_FORMS:
            raise ValueError(
                f"There is no way to upsample called {self.upsample!r}; there are: "
                f"{', '.join(UPSAMPLE_FORMS)}."
            )

    @property
    def changes_unet(self) -> bool:
        """Whether the UNet is evaluated in another way than diffusers' own."""
        return self.upsample != PLAIN or any(
            (
                self.cached_grounding,
                self.cached_prompt,
                self.time_table,
                self.shared_prefix,
                self.fused_projections,
                self.pointwise_products,
                self.compiled,
            )
        )


ALL_SAVINGS = ExactOptions()
NO_SAVINGS = ExactOptions(
    cached_grounding=False,
    cached_prompt=False,
    time_table=False,
    shared_prefix=False,
    fused_projections=False,
    pointwise_products=False,
    batched_text=False,
    upsample=PLAIN,
    graphs=False,
)
