"""The suite's tokenizer: CLIP's class on a small vocabulary in which every word of the world is one token."""

from collections import Counter
from pathlib import Path

from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 64
END_OF_WORD = "</w>"


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges after which each of ``words`` is one token (Sennrich et al. 2016, algorithm 1).

    Ties go to the first pair in alphabetical order. The trainer of the ``tokenizers`` library breaks them at random,
    so a resumed training would give other words the same numbers.
    """
    spelled = [[*word[:-1], word[-1] + END_OF_WORD] for word in sorted(set(words))]
    merges = []
    while pairs := Counter(pair for word in spelled for pair in zip(word, word[1:], strict=False)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merged(word, best) for word in spelled]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in word:
        # A piece that was just merged does not take part again: "aaa" gives "aa a".
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def build_tokenizer(words: list[str], folder: Path) -> CLIPTokenizer:
    """Learn the merges, save below ``folder`` (CLIPTokenizer layout), return the tokenizer.

    Letters and digits alone are known too, so unknown words still become tokens (spelled out) instead of vanishing.
    """
    merges = learn_merges([*(part for word in words for part in word.replace("-", " - ").split()), ","])
    letters = [chr(c) for c in range(33, 127)]
    tokens = [START, END, *letters, *(letter + END_OF_WORD for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer
