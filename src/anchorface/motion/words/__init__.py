"""Words -> timeline: a sentence about a face, read clause by clause.

reading     words to lexical items, items to clauses     (lexicon.py: the words; tokens.py: their forms)
predicates  a clause to verbs with their objects         (frames.py: verb + object + direction -> action)
parse       clauses to steps of intents: what is done together, what after what
layout      steps to times, fitted to the clip
"""

from .script import read_words, timeline_from_words

__all__ = ["read_words", "timeline_from_words"]
