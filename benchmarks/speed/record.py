"""The results on disk: a JSON file that holds whatever is done, whenever the run is cut off."""

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


class Record:
    """Results by section, each written as soon as it is there.

    Args:
        path: of the JSON file; what it holds already is kept and not measured again.
        setting: what was measured and where; a file of another setting is refused.

    Raises:
        ValueError: the file is of another setting, or no such file.
    """

    def __init__(self, path: Path, setting: dict[str, Any]):
        self.path = path
        self.data: dict[str, Any] = {"setting": setting, "sections": {}}
        if not path.exists():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            earlier, found["sections"] = found["setting"], dict(found["sections"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path} holds no results of this benchmark; name another file with --out."
            ) from None
        changed = [name for name in setting if earlier.get(name) != setting[name]]
        changed = [name for name in changed if name != "date"]
        if changed:
            raise ValueError(
                f"{path} was measured with other {', '.join(changed)}; "
                "name another file with --out, or begin anew with --fresh."
            )
        self.data = found

    def __contains__(self, section: str) -> bool:
        return section in self.data["sections"]

    def add(self, section: str, result: Any) -> None:
        """Keep a result; a file is there whole or not at all, whatever happens."""
        self.data["sections"][section] = result
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
        part.replace(self.path)


def describe_machine(device: str) -> dict[str, Any]:
    """Return the hardware and the versions that figures depend on."""
    facts: dict[str, Any] = {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": version("diffusers"),
        "transformers": version("transformers"),
        "date": date.today().isoformat(),
    }
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        facts["gpu"] = properties.name
        facts["gpu_memory_gib"] = round(properties.total_memory / 2**30)
        facts["cuda"] = torch.version.cuda
    return facts


def _processor_name() -> str:
    """Return the name that Linux has for the processor, elsewhere its kind."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    features = next((line.split() for line in lines if line.startswith("flags")), [])
    wanted = ("avx512f", "avx512_bf16", "amx_bf16")
    known = [name for name in wanted if name in features]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} ({', '.join(known)})" if known else name
