"""``python -m dclib`` is the ``dclib`` command."""

import sys

from dclib.cli import main

sys.exit(main())
