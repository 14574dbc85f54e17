"""`python -m pipeline`: the command line without an installed script."""

import sys

from pipeline.cli import main

sys.exit(main())
