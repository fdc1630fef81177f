"""The tests, and the type checker that they put on every annotated function of the library."""

import os

from beartype import BeartypeConf, beartype

# An int is welcome where a float is asked for (PEP 484's numeric tower).
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))

# Before torch is imported: on models this small its threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
