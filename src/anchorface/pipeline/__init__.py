"""Anchored diffusion, one file per stage: loading, encode, denoise, decode, and animate, which is the flow.

Importing this package loads nothing; take what you need from its modules (``pipeline.animate`` first).
"""
