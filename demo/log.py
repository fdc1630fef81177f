"""Log lines for whoever runs the app: one JSON object a line on stderr.

What people wrote is in none of them unless it was asked for: it goes into a part of its own, which
the formatter leaves out.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from gligen.request import Request

logger = logging.getLogger("demo")


def say(
    event: str,
    facts: Mapping[str, Any] | None = None,
    private: Mapping[str, Any] | None = None,
    fault: BaseException | None = None,
) -> None:
    """Write one line.

    Args:
        event: what happened, in one word.
        facts: what may always be known about it.
        private: what people wrote; only written with --log-prompts.
        fault: whose traceback goes along.
    """
    logger.log(
        logging.INFO if fault is None else logging.ERROR,
        event,
        extra={"facts": dict(facts or {}), "private": dict(private or {})},
        exc_info=fault,
    )


def facts_of(kind: str, request: Request) -> dict[str, Any]:
    """Return what may be known about a request."""
    return {
        "kind": kind,
        "steps": request.num_steps,
        "images": request.num_images,
        "regions": len(request.layout.regions),
        "persons": len(request.layout.persons),
    }


def words_of(request: Request) -> dict[str, Any]:
    """Return what a person wrote."""
    return {
        "prompt": request.full_prompt,
        "negative_prompt": request.negative_prompt,
        "labels": [region.phrase for region in request.layout],
    }


class JsonLines(logging.Formatter):
    """Formats every record as one JSON object.

    Args:
        with_private: write what people wrote too.
    """

    def __init__(self, with_private: bool = False):
        super().__init__()
        self._with_private = with_private

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat("T", "seconds"),
            "level": record.levelname.lower(),
        }
        facts = getattr(record, "facts", None)
        if facts is not None:
            line |= {"event": record.getMessage(), **facts}
        else:
            # What fills the gaps of a library's message may be part of a prompt.
            text = record.getMessage() if self._with_private else str(record.msg)
            line |= {"event": "message", "logger": record.name, "message": text}
        if self._with_private:
            line |= getattr(record, "private", {})
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = self._traceback(record.exc_info[1])
        # ASCII only: no word of a stranger can move the cursor or break the line.
        return json.dumps(line, default=str)

    def _traceback(self, fault: BaseException) -> str:
        lines = traceback.format_tb(fault.__traceback__)
        # Those of the device say what it lacks; other messages may quote what a person wrote.
        is_told = self._with_private or isinstance(fault, (RuntimeError, MemoryError))
        name = type(fault).__name__
        return "".join([*lines, f"{name}: {fault}" if is_told else name])


def configure(with_private: bool) -> None:
    """Send the app's log lines, and warnings of everything else, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(with_private))
    root = logging.getLogger()
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
