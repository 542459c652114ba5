"""``python -m anchorface`` is the command ``anchorface``."""

import os
import sys

from .cli import main

if __name__ == "__main__":
    code = main()
    if code:
        # Ctrl-C inside code that a C extension executes marks the interpreter as interrupted even when the exception is
        # caught later, and an ordinary exit would then die of SIGINT instead of returning the code.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
