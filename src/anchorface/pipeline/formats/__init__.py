"""The files people have: what each one is, and its weights under diffusers' names.

``header``, ``pickled``, ``identify`` and ``describe`` read names and shapes only and import no torch;
``weights``, ``checkpoint``, ``tokenizer`` and ``join`` make networks of them.
"""
