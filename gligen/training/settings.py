"""The settings of a training run, read from a YAML file whose keys are the fields below."""

import dataclasses
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from gligen.kinds import (
    BOX_EMBEDDINGS,
    FUSERS,
    INPAINTING,
    MAP,
    MLP_BOXES,
    TEXT_BOX,
    TEXT_IMAGE_BOX,
    kind_named,
)

PRECISIONS = ("no", "fp16", "bf16")
OPTIMIZERS = ("adamw", "adamw8bit", "muon")
STARTS = ("closed", "scaled", "aimed")
LOGS = ("jsonl", "tensorboard")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides how an adapter turns out.

    Raises:
        ValueError: a value breaks its rule; the sentence names both.
    """

    output: str  # folder of the run: state, log, samples, adapter
    data: str  # dataset to read (docs/data.md), or "world:FOLDER", a bank of the synthetic world
    kind: str = "generation_text_box"  # one of gligen.kinds.KINDS
    base: str = "embedded"  # frozen: a Stable Diffusion 1.x folder, file or hub id
    adapter: str | None = None  # to go on from (see training.inheriting); None: new layers
    fuser: str = FUSERS[0]  # gated layers; "gated_cross_attention" is the paper's ablation
    box_embedding: str = BOX_EMBEDDINGS[0]  # text-box kinds; "mlp" is the paper's ablation
    image_encoder: str | None = None  # text-image kinds: folder or hub id; None: the base's
    projection: str | None = None  # text-image kinds: file of the matrix; None: the encoder's
    # "closed": gates shut, as in the paper; "scaled", "aimed": see training.starting
    start: str = "closed"
    backbone_widths: list[int] | None = None  # map kinds: of the ConvNeXt; None: the "tiny" one's
    backbone_depths: list[int] | None = None
    image_size: int | None = None  # pixels, both sides; None: what the base was trained at
    num_steps: int = 50_000
    batch_size: int = 16  # pictures for each step, all processes and accumulations together
    accumulation: int = 1  # parts that a process works its share of a batch off in
    learning_rate: float = 5e-5
    schedule: str = "constant"  # after the warm-up: "constant" or "cosine"
    warmup_steps: int = 1000
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    optimizer: str = "adamw"  # or "adamw8bit" (needs bitsandbytes and CUDA), "muon" (see muon.py)
    ema_decay: float = 0.999
    min_snr_gamma: float | None = None  # weighs the loss by min(SNR, gamma) / SNR (2303.09556)
    mixed_precision: str = "no"  # "no", "fp16", "bf16"
    gradient_checkpointing: bool = False  # less memory, more time
    caption_dropout: float = 0.5  # pictures seen with an empty caption
    grounding_dropout: float = 0.1  # with an empty layout
    phrase_dropout: float = 0.5  # text-image kinds: regions that show the picture alone
    image_dropout: float = 0.5  # text-image kinds: regions that show the phrase alone
    early_share: float = 0.0  # further pictures drawn at early times, where layout is decided
    early_from: int = 500  # of 1000; what counts as early
    flip: bool = True  # mirror half of the pictures, with their boxes and joints
    crop: bool = True  # cut a random square, else the middle one
    feature_cache: str | None = None  # folder that keeps features of phrases and pictures
    num_workers: int = 2  # processes that read pictures, for each training process
    seed: int = 0
    save_every_seconds: float = 180.0
    sample_every_steps: int = 1000  # 0: no pictures
    watch_every_steps: int = 250  # paired loss, where the data hold pictures back; 0: never
    log: str = "jsonl"  # or "tensorboard", besides

    def __post_init__(self):
        kind = kind_named(self.kind)
        for name, lowest in (
            ("num_steps", 1),
            ("batch_size", 1),
            ("accumulation", 1),
            ("warmup_steps", 0),
            ("num_workers", 0),
            ("sample_every_steps", 0),
            ("watch_every_steps", 0),
        ):
            if getattr(self, name) < lowest:
                raise ValueError(
                    f"The setting {name} is {getattr(self, name)}; it must be at least {lowest}."
                )
        for name in ("caption", "grounding", "phrase", "image"):
            share = getattr(self, f"{name}_dropout")
            if not 0 <= share < 1:
                raise ValueError(
                    f"The setting {name}_dropout is {share}; it must be a share from 0 to below 1."
                )
        if self.phrase_dropout + self.image_dropout > 1 and kind.modality == TEXT_IMAGE_BOX:
            raise ValueError(
                f"phrase_dropout {self.phrase_dropout} and image_dropout {self.image_dropout} add "
                "up to more than 1, and no region would have anything left; lower them."
            )
        if not self.learning_rate > 0:
            raise ValueError(
                f"The setting learning_rate is {self.learning_rate}; it must be above 0."
            )
        for name, choices in (
            ("mixed_precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
            ("start", STARTS),
            ("log", LOGS),
            ("schedule", SCHEDULES),
            ("fuser", FUSERS),
            ("box_embedding", BOX_EMBEDDINGS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"The setting {name} is {getattr(self, name)!r}; it must be one of "
                    f"{', '.join(choices)}."
                )
        if self.box_embedding == MLP_BOXES and kind.modality != TEXT_BOX:
            raise ValueError(
                f"The box_embedding 'mlp' is for the text-box kinds, not for {self.kind}; leave "
                "it out."
            )

    @property
    def trains_first_convolution(self) -> bool:
        """Whether the kind reads more than latents, so that the first convolution is trained."""
        kind = kind_named(self.kind)
        return kind.modality == MAP or kind.task == INPAINTING


def read_settings(path: str | Path, **overrides: Any) -> TrainingSettings:
    """Read a YAML file of settings; `overrides` take the place of what it says.

    Relative paths in it are relative to the folder that the command runs in.

    Raises:
        ValueError: the file cannot be read, has unknown or lacks needed settings, or one breaks its
            rule.
    """
    path = Path(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"The settings {str(path)!r} cannot be read ({error.strerror}); give a YAML file such "
            "as configs/training/*.yaml."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).split("\n")[0]
        raise ValueError(f"The settings {str(path)!r} are not YAML ({first}).") from None
    if not isinstance(found, dict):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"The settings {str(path)!r} must be lines of the form 'name: value'."
        )
    found |= overrides
    _check_names(path, found)
    for field in fields(TrainingSettings):
        if field.name in found:
            found[field.name] = _typed(path, field, found[field.name])
    try:
        return TrainingSettings(**found)
    except ValueError as error:
        raise ValueError(f"In {str(path)!r}: {error}") from None


def _check_names(path: Path, found: dict[str, Any]) -> None:
    known = {field.name: field for field in fields(TrainingSettings)}
    unknown = [name for name in found if name not in known]
    if unknown:
        raise ValueError(
            f"The settings {str(path)!r} have the unknown entry {unknown[0]!r}; there are: "
            f"{', '.join(known)}."
        )
    missing = [
        name
        for name, field in known.items()
        if field.default is dataclasses.MISSING and name not in found
    ]
    if missing:
        raise ValueError(f"The settings {str(path)!r} lack {' and '.join(missing)}.")


def _typed(path: Path, field: dataclasses.Field, value: Any) -> Any:
    """Return the value in the field's type; YAML reads 5e-5 as text and 1 as a whole number."""
    wanted = str(getattr(field.type, "__name__", field.type))
    if "list" in wanted and isinstance(value, list):
        is_whole = all(isinstance(item, int) and item > 0 for item in value)
        if is_whole and len(value) > 1:
            return value
        raise ValueError(
            f"In {str(path)!r} the setting {field.name} is {value!r}; it must be a list of at "
            "least two whole numbers above 0."
        )
    if value is None and "None" in str(field.type):
        return None
    for name, kind in (("bool", bool), ("int", int), ("float", float), ("str", str)):
        if name not in wanted:
            continue
        if kind is float and isinstance(value, (int, float, str)) and value is not True:
            try:
                return float(value)
            except ValueError:
                break
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        break
    raise ValueError(
        f"In {str(path)!r} the setting {field.name} is {value!r}, which is no {wanted}."
    )
