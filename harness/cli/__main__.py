"""Runs the command line as ``python -m harness.cli``."""

import sys

from .entry import main

sys.exit(main())
