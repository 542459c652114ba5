"""The suite's tokenizer: CLIP's class on a small vocabulary in which every word of the world is one token."""

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 64


def build_tokenizer(words: list[str], folder: Path) -> CLIPTokenizer:
    """Learn byte-pair merges until each word is one token, save below ``folder`` (CLIPTokenizer layout), return it."""
    core = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Letters and digits alone are known too, so unknown words still become tokens (spelled out) instead of vanishing.
    alphabet = [chr(c) for c in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=20000, min_frequency=1, special_tokens=[START, END], initial_alphabet=alphabet,
        end_of_word_suffix="</w>", show_progress=False,
    )  # fmt: skip
    pieces = sorted({part for word in words for part in word.replace("-", " - ").split()} | {","})
    core.train_from_iterator([*pieces, *alphabet] * 2, trainer)
    vocabulary = core.get_vocab()
    for letter in alphabet:
        vocabulary.setdefault(f"{letter}</w>", len(vocabulary))
    core.model.save(str(folder.parent), "bpe")
    merges_file = folder.parent / "bpe-merges.txt"
    merges = [
        tuple(line.split()) for line in merges_file.read_text().splitlines() if line and not line.startswith("#version")
    ]
    for name in ("bpe-merges.txt", "bpe-vocab.json"):
        (folder.parent / name).unlink()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer
