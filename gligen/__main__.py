"""`python -m gligen`: see `gligen.cli`."""

import sys

from gligen.cli import main

sys.exit(main())
