"""Training: the suite's stages today, users' own motion modules, adapters and LoRAs on the same loop."""
