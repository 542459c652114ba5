"""The synthetic world: seeded, labelled pictures and clips of invented people."""
