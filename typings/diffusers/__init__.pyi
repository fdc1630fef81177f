# diffusers builds configurations and exports at run time; its own annotations miss that (`config`
# as a bare dict, `from_pretrained` as a pair). The checker takes its top-level classes as untyped.
from typing import Any

def __getattr__(name: str) -> Any: ...
