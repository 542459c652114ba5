"""The tokenizer: one token a word, and the same numbers in every process."""

import json
import subprocess
import sys

from anchorface.suite.synth.grammar import vocabulary
from anchorface.training.vocabulary import build_tokenizer, learn_merges

SCRIPT = """
import json, sys
from pathlib import Path
from anchorface.suite.synth.grammar import vocabulary
from anchorface.training.vocabulary import build_tokenizer
print(json.dumps(build_tokenizer(vocabulary(), Path(sys.argv[1])).get_vocab(), sort_keys=True))
"""


def test_merges_of_a_small_language_by_hand():
    # pairs at first: (a, b) 2, (b, c</w>) 1, (b, d</w>) 1; then (ab, c</w>) before (ab, d</w>), both 1.
    assert learn_merges(["abc", "abd"]) == [("a", "b"), ("ab", "c</w>"), ("ab", "d</w>")]


def test_repeated_letters_merge_from_the_left():
    assert learn_merges(["aaa"]) == [("a", "a"), ("aa", "a</w>")]


def test_each_word_is_one_token_and_unknown_ones_are_spelled(tmp_path):
    tokenizer = build_tokenizer(vocabulary(), tmp_path)
    for word in vocabulary():
        for part in word.split("-"):
            assert len(tokenizer(part).input_ids) == 3, part
    assert len(tokenizer("xyz").input_ids) > 3
    assert tokenizer.unk_token_id not in tokenizer("xyz").input_ids[1:-1]


def test_two_processes_agree(tmp_path):
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / str(i)], capture_output=True, text=True, check=True)
        for i in range(2)
    ]
    assert json.loads(runs[0].stdout) == json.loads(runs[1].stdout)
