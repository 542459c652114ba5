"""A sentence -> words in their base form: lower case, numbers as numbers, verb forms brought back to the verb."""

import re
from dataclasses import dataclass

NUMBERS = {
    "zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0, "eight": 8.0,
    "nine": 9.0, "ten": 10.0, "eleven": 11.0, "twelve": 12.0, "fifteen": 15.0, "twenty": 20.0, "thirty": 30.0,
    "forty": 40.0, "fortyfive": 45.0, "fifty": 50.0, "sixty": 60.0, "ninety": 90.0,
}  # fmt: skip

_IRREGULAR = {
    "shook": "shake", "shaken": "shake", "shut": "shut", "shutting": "shut", "fell": "fall", "fallen": "fall",
    "rose": "rise", "risen": "rise", "rising": "rise", "stuck": "stick", "blew": "blow", "blown": "blow",
    "spoke": "speak", "spoken": "speak", "said": "say", "told": "tell", "sang": "sing", "sung": "sing", "bit": "bite",
    "bitten": "bite", "biting": "bite", "kept": "keep", "held": "hold", "went": "go", "gone": "go", "goes": "go",
    "began": "begin", "begun": "begin", "came": "come", "gave": "give", "given": "give", "made": "make", "did": "do",
    "does": "do", "done": "do", "took": "take", "taken": "take", "drew": "draw", "drawn": "draw", "saw": "see",
    "seen": "see", "swung": "swing", "lost": "lose", "let": "let", "lets": "let", "put": "put", "puts": "put",
    "broke": "break",
    "broken": "break", "burst": "burst", "bursts": "burst", "felt": "feel", "left": "left", "froze": "freeze",
    "frozen": "freeze", "woke": "wake", "woken": "wake", "slept": "sleep", "shrank": "shrink", "threw": "throw",
    "wore": "wear", "worn": "wear", "became": "become", "got": "get", "gotten": "get", "getting": "get",
    "grew": "grow", "thought": "think",
    "swallowed": "swallow", "wept": "weep", "leant": "lean", "lit": "light", "brought": "bring", "stood": "stand",
    "sat": "sit", "has": "have", "had": "have", "having": "have", "is": "be", "are": "be", "was": "be", "were": "be",
    "being": "be",
    "been": "be", "am": "be", "eyes": "eye", "lashes": "eyelid", "teeth": "teeth", "lips": "lip", "tying": "tie",
    "dying": "die", "lying": "lie",
    "opens": "open", "tipped": "tip", "us": "us", "this": "this", "yes": "yes", "less": "less", "across": "across",
    "towards": "toward", "backwards": "back", "backward": "back", "forwards": "forward", "upwards": "up",
    "upward": "up",
    "downwards": "down", "downward": "down", "leftwards": "left", "leftward": "left", "rightwards": "right",
    "rightward": "right", "sideways": "sideways", "sidewards": "sideways", "during": "during", "centre": "center",
    "grey": "grey", "colour": "color", "neutrally": "neutral", "afterwards": "afterward",
}  # fmt: skip

_CONTRACTIONS = {
    "doesn't": "do not", "don't": "do not", "isn't": "be not", "didn't": "do not", "won't": "not", "can't": "not",
    "aren't": "be not", "she's": "she be", "he's": "he be", "they're": "they be", "it's": "it be", "i'm": "i be",
    "she'll": "she", "he'll": "he", "they'll": "they", "let's": "",
}  # fmt: skip

_WORD = re.compile(r"\d+(?:\.\d+)?|[a-zà-ÿ]+|[.,;:!?]")


@dataclass(frozen=True)
class Token:
    """One word: as written (lower case), its base form, its number if it is one, and whether it ends in -ing."""

    text: str
    base: str
    number: float | None = None
    ing: bool = False
    article: bool = False
    """A single one: "a nod"."""

    @property
    def is_mark(self) -> bool:
        """Punctuation."""
        return not (self.base[:1].isalnum())


def tokenize(sentence: str, known: frozenset[str]) -> list[Token]:
    """Words and marks of ``sentence``; ``known`` = the base forms that other forms may be reduced to."""
    text = sentence.lower().replace("\u2019", "'").replace("\u2013", ", ").replace("\u2014", ", ").replace("\n", ". ")
    text = re.sub(r"[()\[\]\"\u201c\u201d]", " , ", text)
    text = re.sub(r"(\d),(\d)", r"\1.\2", text)
    text = re.sub(r"(\d+)\s*(x|×)(?![a-z])", r"\1 times ", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*-?\s*(ms)\b", lambda found: f"{float(found[1]) / 1000:.3f} second", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*-?\s*(s|sec|secs)\b", r"\1 second", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*(°|deg\b)", r"\1 degree", text)
    for short, full in _CONTRACTIONS.items():
        text = re.sub(rf"\b{short}\b", full, text)
    text = re.sub(r"'s?\b", "", text).replace("%", " percent ").replace("&", " and ").replace("->", ", then ")
    tokens = [_token(word, known) for word in _WORD.findall(text)]
    return [token for i, token in enumerate(tokens) if not (token.base == "," and i and tokens[i - 1].base == ",")]


def _token(word: str, known: frozenset[str]) -> Token:
    if word[0].isdigit():
        return Token(word, word, float(word))
    if word in NUMBERS:
        return Token(word, word, NUMBERS[word])
    ing = word.endswith("ing") and word not in ("during", "ring", "king", "thing", "nothing", "everything", "morning")
    return Token(word, base_form(word, known), ing=ing and base_form(word, known) != word)


def base_form(word: str, known: frozenset[str]) -> str:
    """The known word that ``word`` is a form of, else ``word`` itself."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    # A participle in a phrase ("not moving") must not hide its verb.
    if word in known and not word.endswith("ing"):
        return word
    for form in _stems(word):
        if form in known:
            return form
        if form in _IRREGULAR:
            return _IRREGULAR[form]
    return word


def _stems(word: str) -> list[str]:
    """Candidate base forms, likeliest first."""
    out: list[str] = []
    if word.endswith("s"):
        out.append(word[:-1])
    for ending in ("ing", "ed", "er", "ers"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word[: -len(ending)]
            if len(stem) > 2 and stem[-1] == stem[-2]:
                out += [stem[:-1]]
            out += [stem, stem + "e"]
            if stem.endswith("i"):
                out.append(stem[:-1] + "y")
    if word.endswith("ies"):
        out.append(word[:-3] + "y")
    if word.endswith("es"):
        out.append(word[:-2])
    if word.endswith("ily"):
        out.append(word[:-3] + "y")
    if word.endswith("ly"):
        out += [word[:-2], word[:-1] + "e", word[:-2] + "le", word[:-1]]
    return out
