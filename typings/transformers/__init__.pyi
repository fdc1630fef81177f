# transformers decorates methods so that their types are lost (`to` wants a model for its device).
# The checker takes its classes as untyped.
from typing import Any

def __getattr__(name: str) -> Any: ...
