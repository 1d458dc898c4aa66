"""See `run`."""

import sys

from tests.gauntlet.run import main

sys.exit(main())
