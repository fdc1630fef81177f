"""Links that hold a recipe: its document, packed into the fragment of the page's address.

A fragment stays in the browser until the page sends it to be read, so nothing is stored here. The
page packs (`demo/components/keeper.js`); both ways are here too, so that tests can compare them.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from demo.texts import memory as texts

FRAGMENT = "recipe="  # what follows in the fragment is the packed document
MAX_LINK_CHARACTERS = 8_000  # programs that pass links on cut longer ones
MAX_DOCUMENT_BYTES = 200_000  # a short link may unfold to gigabytes

# The first character says how the rest is packed: browsers of before 2023 cannot deflate.
DEFLATED, PLAIN = "z", "p"


def pack(document: Mapping[str, Any]) -> str:
    """Return a document as text that a link can hold."""
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflater.compress(content) + deflater.flush()
    return DEFLATED + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unpack(text: str) -> Any:
    """Return the decoded document of a link; what it says is not checked here.

    Raises:
        ValueError: the text is too long, or not what the page packs.
    """
    if len(text) > MAX_LINK_CHARACTERS:
        raise ValueError(texts.LINK_TOO_LONG.format(length=len(text), limit=MAX_LINK_CHARACTERS))
    how, packed = text[:1], text[1:]
    try:
        content = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        if how == DEFLATED:
            content = _inflated(content)
        elif how != PLAIN:
            raise ValueError("unknown packing")
        return json.loads(content.decode())
    except (ValueError, binascii.Error, zlib.error, RecursionError):
        raise ValueError(texts.LINK_DAMAGED) from None


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(packed, MAX_DOCUMENT_BYTES)
    if not inflater.eof or inflater.unused_data:
        raise ValueError("cut off, or too large")
    return content
