"""`python -m meta_nni.cli`: the command line where `meta-nni` is not on the path."""

import sys

from meta_nni.cli import main

sys.exit(main())
