"""Fetching from the Hugging Face hub, or saying in one sentence why that cannot be.

The hub's own client retries for minutes when there is no network; here it is asked for once, and
without it what is in the local cache still serves.
"""

import os
import re
import socket
import urllib.parse
import urllib.request
from pathlib import Path

from diffusers import StableDiffusionPipeline
from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

OFFICIAL_FILE = "diffusion_pytorch_model.bin"
TOKENIZER_FILES = ["tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json"]
IMAGE_ENCODER_FILES = ["config.json", "preprocessor_config.json", "model.safetensors"]
CHECKER_FOLDERS = ("safety_checker", "feature_extractor")
CHECKER_FILES = [
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "feature_extractor/preprocessor_config.json",
]
CONNECT_SECONDS = 5


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/model, and no file or folder here is called so."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is not None and not Path(name).exists()


def fetch_model(hub_id: str) -> Path:
    """Return the local folder of a diffusers model, or the file of an official checkpoint.

    Raises:
        ValueError: it is not in the cache, and the hub has no such model or cannot be reached.
    """
    offline = not hub_is_reachable()
    try:
        if _has_file(hub_id, "model_index.json", offline):
            folder = StableDiffusionPipeline.download(
                hub_id, safety_checker=None, local_files_only=offline
            )
            return Path(folder)
        # The authors' repositories hold a single checkpoint instead of a diffusers folder.
        return Path(hf_hub_download(hub_id, OFFICIAL_FILE, local_files_only=offline))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ValueError(_unreachable(hub_id, offline, error)) from None


def fetch_image_encoder(hub_id: str) -> Path:
    """Return the local folder of a CLIP whose vision half reads reference pictures.

    Raises:
        ValueError: it is not in the cache, and the hub has no such model or cannot be reached.
    """
    offline = not hub_is_reachable()
    try:
        folder = snapshot_download(
            hub_id, allow_patterns=IMAGE_ENCODER_FILES, local_files_only=offline
        )
        return Path(folder)
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ValueError(_unreachable(hub_id, offline, error)) from None


def fetch_safety_checker(hub_id: str) -> Path:
    """Return the local folder of a Stable Diffusion, of which only the safety checker is fetched.

    Raises:
        ValueError: it is not in the cache, and the hub has no such model or cannot be reached.
    """
    offline = not hub_is_reachable()
    try:
        folder = Path(
            snapshot_download(hub_id, allow_patterns=CHECKER_FILES, local_files_only=offline)
        )
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ValueError(_unreachable(hub_id, offline, error)) from None
    missing = [name for name in CHECKER_FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"The folder {str(folder)!r} lacks {', '.join(missing)}.")
    return folder


def fetch_tokenizer(hub_id: str) -> Path:
    """Return the local folder of a tokenizer on the hub.

    Raises:
        ValueError: it is not in the cache, and the hub has no such model or cannot be reached.
    """
    offline = not hub_is_reachable()
    try:
        folder = snapshot_download(hub_id, allow_patterns=TOKENIZER_FILES, local_files_only=offline)
        return Path(folder)
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ValueError(
            _unreachable(hub_id, offline, error)
            + " A checkpoint without a tokenizer needs one: name a folder with tokenizer=... "
            "(--tokenizer)."
        ) from None


def hub_is_reachable() -> bool:
    """Whether the hub answers; takes a few seconds at most."""
    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies().get("https") or os.environ.get("ALL_PROXY"):
        return True  # behind a proxy a direct connection says nothing
    address = urllib.parse.urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _has_file(hub_id: str, name: str, offline: bool) -> bool:
    try:
        hf_hub_download(hub_id, name, local_files_only=offline)
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return False
    return True


def _unreachable(hub_id: str, offline: bool, error: Exception) -> str:
    if offline:
        return (
            f"The model {hub_id!r} is no file or folder here, is not in the hub's cache, and the "
            "hub cannot be reached; check the spelling and the connection, or use the embedded "
            "model."
        )
    reason = str(error).strip().split("\n")[0]
    return f"The model {hub_id!r} could not be fetched from the hub ({reason}); check its spelling."
