"""The parametric face: parameters -> mesh."""
