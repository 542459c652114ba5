"""CLIP's tokenizer, made offline from its list of merges.

``clip_merges.txt.gz`` holds the 48,894 merges that CLIP uses of OpenAI's ``bpe_simple_vocab_16e6.txt`` (openai/CLIP,
MIT; see docs/licences.md). The vocabulary follows from them: 256 bytes as printable letters, the same at the end of a
word, one entry per merge, start and end (openai/CLIP, ``simple_tokenizer.py``). 49,408 in all.
"""

import gzip
from functools import lru_cache
from importlib import resources

from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS, LENGTH = 49_408, 77


def clip_tokenizer() -> CLIPTokenizer:
    """The tokenizer of every Stable Diffusion 1.x model; 77 tokens with start and end, padded with the end token."""
    merges = clip_merges()
    letters = _byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=list(merges), model_max_length=LENGTH)


@lru_cache(maxsize=1)
def clip_merges() -> tuple[tuple[str, str], ...]:
    """CLIP's merges, most frequent first."""
    data = resources.files(__package__).joinpath("clip_merges.txt.gz").read_bytes()
    return tuple(tuple(line.split()) for line in gzip.decompress(data).decode("utf-8").splitlines())


def _byte_letters() -> list[str]:
    """A printable letter for each byte, in CLIP's order: printable bytes stand for themselves, others follow."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(others)]
