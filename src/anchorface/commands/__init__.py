"""One file per command. Each imports its stage when it runs, so that ``--help`` answers at once."""
