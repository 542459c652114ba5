"""Numbers about clips: pure functions of pictures and tracks, each with its formula, unit and source."""
