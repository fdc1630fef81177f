"""Reads the values of the flags; what cannot be gets a sentence."""

import argparse
import math
import re
from pathlib import Path

from gligen.presets import Preset

MOST = 100_000
HOW_TO_PAIR = "write a user name, a colon and a password: anna:secret."


def true_or_false(text: str) -> bool:
    """Read True or False, in any case, as the original's flags are written."""
    values = {"true": True, "false": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"the value is {text!r}; write True or False.")
    return values[text.lower()]


def auto_true_or_false(text: str) -> bool | None:
    """Read auto (None), True or False."""
    if text.lower() == "auto":
        return None
    try:
        return true_or_false(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"the value is {text!r}; write auto, True or False."
        ) from None


def guidance(text: str) -> float:
    """Read a guidance scale."""
    value = _number(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(
            f"the value is {text}; it must be from 1 (no guidance) to 100, 7.5 is usual."
        )
    return value


def alpha(text: str) -> float:
    """Read the strength of the gates."""
    value = _number(text)
    if value not in (0, 1):
        raise argparse.ArgumentTypeError(
            f"the value is {text}; write 1 (grounding as trained) or 0 (no grounding). How long "
            "grounding acts is set by tau on the page."
        )
    return value


def preset(text: str) -> Preset:
    """Read the name of a preset."""
    try:
        return Preset.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def port(text: str) -> int:
    """Read a port number."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(
            f"the value is {text!r}; a port is a whole number from 1 to 65535."
        )
    return int(text)


def whole_from_one(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(
            f"the value is {text!r}; it must be a whole number from 1 to {MOST}."
        )
    return int(text)


def seconds(text: str) -> float:
    """Read a length of time."""
    value = _number(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(
            f"the value is {text}; it must be a number of seconds from 0 to 3600."
        )
    return value


def memory(text: str) -> int:
    """Read an amount of memory in bytes: 6GB, 5.5 GiB, 800MB."""
    units = {"mb": 10**6, "mib": 2**20, "gb": 10**9, "gib": 2**30}
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]+)\s*", text.lower())
    size = _number(found[1]) * units.get(found[2], 0) if found else 0
    if size < 1:
        raise argparse.ArgumentTypeError(
            f"the value is {text!r}; write a number and a unit (MB, GB, MiB, GiB): 6GB."
        )
    return int(size)


def credentials_file(text: str) -> tuple[tuple[str, str], ...]:
    """Read a file of pairs, one a line; empty lines and those that start with # are left out."""
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read ({error}).") from None
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            pairs += credentials(line)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"line {number} of {text!r}: {error}") from None
    if not pairs:
        raise argparse.ArgumentTypeError(f"{text!r} holds no pair; {HOW_TO_PAIR}")
    return tuple(pairs)


def credentials(text: str) -> tuple[tuple[str, str], ...]:
    """Read a user name and a password."""
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError(HOW_TO_PAIR)
    return ((user, password),)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"the value is {text!r}; it must be a number.")
    return value
