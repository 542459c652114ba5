"""The words we know, by what they do in a sentence. Base forms; articles and possessives are left out.

A phrase wins over its words. To teach a word: add it to the line of its meaning.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """What a phrase means: ``kind`` (act, verb, noun, dir, ...) and ``value``."""

    kind: str
    value: str | float


DETERMINERS = frozenset("the a an her his their its my your our some any own".split())
"""Left out of phrases and sentences."""

SUBJECTS = frozenset(
    "she he they i you we woman man girl boy person people lady guy gentleman character subject actress actor model "
    "someone somebody one's figure avatar portrait child kid herself himself themself themselves itself who which".split()
)

_LINES: dict[tuple[str, str], str] = {
    # --- what joins clauses
    ("conn", "then"): "then, and then, but then, next, and next, afterward, and afterward, after that, and after that, after which, later, subsequently, "
    "and later, followed by, and finally, finally, lastly, at last, eventually, before finally, thereafter, only then, once done, before then, "
    "soon after, shortly after, and ends with, ends with, end with, and end with, to finish, end up, end by, finish by, finish with, and finish with, and at last, "
    "first then, now, right after, right after that, immediately after, straight after, leads to, turn into, change to, give way to, into then",
    ("conn", "and"): "and, as well as, plus, also, and also, or, yet, but, as well, and even, even",
    ("conn", "while"): "while, whilst, when, whenever, at same time as, at same time, and at same time, simultaneously, meanwhile, in meantime, "
    "as, just as, and meanwhile, all while, and simultaneously, during, together, while also, at once, while still, along with, together with, "
    "accompany by, as if, as though, like, and while, whereas, still while, throughout which, as it, all whilst",
    ("conn", "with"): "with, in, and with, wearing expression, but with",
    ("conn", "before"): "before, prior to, and before, until, till, ahead of, right before, just before, shortly before",
    ("conn", "after"): "after, and after, once she, once he, once they, as soon as, having, right after she, upon, after first, only after, shortly after she, just after, immediately upon, since",
    ("conn", "without"): "without, and without, but without, without any, rather than, instead of, never once",
    ("conn", "stop"): ".|;|!|?|:",
    # --- aspect
    ("aspect", "keep"): "keep, stay, remain, hold, maintain, continue, carry on, go on, still, keep on, linger, pose, leave",
    ("aspect", "stop"): "stop, cease, quit, no longer, not anymore, give up, lose, end, fade, disappear, vanish, wane, melt away, drop off, erase, fade away, die down, wipe, go away, let go, subside",
    ("aspect", "start"): "start, begin, try, commence, attempt, proceed, start to, seem, appear, about, pretend, manage, happen, want, need, love, like to",
    ("aspect", "repeat"): "repeat, repeat this, do it all again, repeat it, repeat that, repeat all, do this again, repeat everything, loop, all over again, repeat sequence, repeat whole thing",
    ("aspect", "redo"): "do it again, do so again, does it again, once more, one more time, and again, do that again, do same, same again",
    ("aspect", "again"): "again, anew, another, second time",
    ("aspect", "wait"): "wait, pause, rest for, beat, take pause, hold position, hold pose, hold there, hold it, stay there, stay like that, keep it there, "
    "hold this, hold that, hold expression, hesitate, stay that way, stay so, remain so, remain there, keep pose, hold gaze, hold head there, freeze there, linger there, delay",
    ("neg", "not"): "not, never, no, hardly ever, do not, nor",
    # --- time and size
    ("count", "1"): "once, just once, one time, single, only once, single time",
    ("count", "2"): "twice, two time, couple of time, couple time, double, couple of, couple, pair of",
    ("count", "3"): "thrice, three time, several time, few time, repeatedly, triple, several, series of, number of time, over and over, again and again, few, over and over again, multiple time, multiple, rhythmically",
    ("count", "4"): "many time, lot of time, many, many many time",
    ("speed", "2.2"): "slow, gradual, in slow motion, lazy, languid, leisurely, unhurried, take time, sluggish, long, drawn out, little by little, heavily, progressively",
    ("speed", "1.5"): "calm, smooth, careful, dreamy, hesitant, cautious, thoughtfully, steadily, easy",
    ("speed", "0.6"): "quick, fast, rapid, swift, brisk, hasty, speedy, hurriedly, in hurry, frantically, energetically, nervously",
    ("speed", "0.5"): "sudden, abrupt, sharp, instant, immediate, all of sudden, snap, in flash, in instant, shoot, pop, jerk, flash, whip, burst",
    ("strength", "0.5"): "slight, little, bit, little bit, subtle, faint, soft, gentle, light, small, weak, mild, half, partial, halfway, tiny, tad, hint of, quiet, modest, somewhat, partway, part way, half way, touch, ever so slight, shallow, polite, delicate, discreet",
    ("strength", "0.35"): "bare, almost imperceptible, imperceptible, hardly, minimal, ever so little, almost, trace of, slightest",
    ("strength", "1.3"): "strong, wide, broad, big, deep, hard, heavy, large, intense, tight, full, great, forceful, emphatic, firm, loud, hearty, bright, huge, "
    "complete, all way, far, as far as possible, as far as can, dramatic, exaggerated, exaggerate, lot, vigorous, clear, extreme, total, entire, enormous, high, massive, out loud, as wide as possible, furiously, wild, way, ear to ear, from ear to ear, noticeably, toothy, violently",
    ("very", "1.35"): "very, really, so, extremely, too, quite, incredibly, super, much",
    ("brief", "0.35"): "brief, for moment, momentary, for instant, fleeting, for split second, for short time, short, for beat, passing, for second or so",
    ("unit", "1"): "second, sec",
    ("unit", "0.7"): "moment",
    ("unit", "60"): "minute",
    ("unit", "frame"): "frame",
    ("unit", "angle"): "degree",
    ("unit", "percent"): "percent",
    ("prep", "for"): "for, lasts, lasting, for about, for around, about for",
    ("prep", "over"): "over course of, within, over period of, in space of, take, over",
    ("prep", "every"): "every, each, once every, once each",
    ("prep", "at"): "at, at t, at time",
    ("prep", "from"): "from, between",
    ("place", "end"): "at end, at very end, in end, to end, by end, towards end, toward end, at end of clip, at end of video, at finish, on last frame, ends",
    ("place", "start"): "at start, at beginning, initially, first of all, to begin with, at first, from start, at very beginning, in beginning, to start",
    ("place", "middle"): "in middle, halfway through, midway, at middle, half way through, at halfway point, midway through, in middle of clip",
    ("place", "always"): "throughout, all time, whole time, entire time, all along, constantly, continuously, always, all through, permanently, from start to end, for whole clip, from beginning to end, until end, until very end, whole clip, "
    "entire clip, to very end, till end, non stop, nonstop, for rest of clip, for rest, forever, incessantly, for whole time, for entire clip, throughout clip, during whole clip, as long as, ever since",
    # --- where
    ("dir", "left"): "left, subject left, left hand side",
    ("dir", "right"): "right, subject right, right hand side",
    ("dir", "up"): "up, upper, ceiling, sky, above, skyward, heaven, overhead, top",
    ("dir", "down"): "down, floor, ground, below, lap, foot, feet, hand, downcast, beneath, bottom, phone, table, desk, chest, shoe",
    ("dir", "forward"): "forward, closer, near, toward camera, in toward camera, nearer, in closer, toward viewer, in close",
    ("dir", "back"): "back, away from camera, further away, farther, further back",
    ("dir", "away"): "away, aside, elsewhere, off camera, off screen, off to side, to side, sideways, one side, to one side, off to one side, out of frame, to other side",
    ("dir", "other"): "other, other side, other way, opposite, opposite side, opposite direction, other direction, other one",
    ("dir", "around"): "around, about room, around room, all around, here and there, about self, all over place",
    ("dir", "sides"): "from side to side, side to side, left and right, right and left, left to right, from left to right, right to left, from right to left, back and forth, to and fro, both way, left then right, from one side to other, each way",
    ("dir", "updown"): "up and down, from top to bottom",
    ("dir", "viewerleft"): "camera left, screen left, viewer left, picture left, frame left, image left, left of picture, left of frame, left of screen, left of image, stage right, left side of frame, left side of screen, left edge of frame",
    ("dir", "viewerright"): "camera right, screen right, viewer right, picture right, frame right, image right, right of picture, right of frame, right of screen, right of image, stage left, right side of frame, right side of screen, right edge of frame",
    ("dir", "shoulder"): "over shoulder, shoulder, over left shoulder, over right shoulder, behind, behind her, profile, to profile, into profile",
    ("target", "front"): "camera, lens, viewer, me, audience, front, straight ahead, straight, ahead, center, straight forward, us, screen, dead ahead, observer, photographer, into camera, spectator, directly ahead",
    ("both", "both"): "both, two, each",
    # --- what moves
    ("noun", "head"): "head, neck",
    ("noun", "eye"): "eye, eyelid, lid, lash, eyelash, upper lid",
    ("noun", "gaze"): "gaze, stare, pupil, line of sight, attention, eyeball",
    ("noun", "brow"): "brow, eyebrow, forehead",
    ("noun", "mouth"): "mouth",
    ("noun", "jaw"): "jaw, jaws",
    ("noun", "lip"): "lip, lower lip, upper lip, bottom lip, top lip",
    ("noun", "cheek"): "cheek",
    ("noun", "nose"): "nose, nostril",
    ("noun", "chin"): "chin",
    ("noun", "tongue"): "tongue",
    ("noun", "teeth"): "teeth, tooth",
    ("noun", "corner"): "corner, corner of mouth, corner of lip, mouth corner, lip corner",
    ("noun", "face"): "face, expression, feature",
    ("noun", "body"): "body, torso, upper body, self, shoulders",
    ("pron", "it"): "it, them, one, one one, this",
    # --- verbs that need an object or a direction
    ("verb", "raise"): "raise, lift, rise, arch, hike, elevate, go up, move up, come up, perk, perk up, curl up, curve up, quirk, cock up, bring up, lift up, turn up, tick up, climb, shoot up, fly up, jump up, pop up, quirk up, pull up, tug up, jerk up",
    ("verb", "lower"): "lower, drop, dip, fall, sink, droop, hang, go down, move down, come down, lower down, drop down, sag, turn down, curl down, descend, pull down, duck, slump, drop open, fall open, hang open, hang low, slide down, bring down",
    ("verb", "open"): "open, reopen, unclose, open up, part, open again, unseal",
    ("verb", "close"): "close, shut, squeeze shut, close again, screw up, squeeze, seal, scrunch up, go shut, snap shut, fall shut, fall close, squeeze close, scrunch close",
    ("verb", "turn"): "turn, rotate, swivel, swing, pivot, twist, spin, crane, veer, pan, turn around",
    ("verb", "tilt"): "tilt, cock, incline, tip, cant, slant, list",
    ("verb", "look"): "look, gaze at, stare, peer, watch, see, look over, look out, look off, lock, lock eye, stare off, focus on, gaze off, look toward, eye, fix, gaze",
    ("verb", "glance"): "glance, peek, sneak look, flick, dart, glance over, cast glance, throw glance, steal glance, sneak peek, side eye, shoot glance, shift eye, glance off",
    ("verb", "move"): "move, go, shift, slide, drift, wander, travel, come, bring, roam, push, pull, draw, stretch, extend, head, drag, skew, point, direct, avert, cast, set, take, jut, thrust, tug, slip",
    ("verb", "shake"): "shake, wag, waggle, shake head, wobble",
    ("verb", "nod"): "nod, bob",
    ("verb", "lean"): "lean, bend, move body, approach, step, scoot, get closer, lean in, come closer, move closer, come in close, lean over, zoom, move in, get close, back away, back up, back off, recoil, retreat, withdraw, pull back, move away, pull away, lean away, draw near, edge",
    ("verb", "puff"): "puff, puff out, inflate, bloat, fill, puff up, blow out, blow up, balloon, swell, bulge",
    ("verb", "knit"): "knit, furrow, crease, draw together, pinch, contract, bunch, pull together, come together, knit together, crumple, scrunch",
    ("verb", "widen"): "widen, open wide, go wide, get wide, grow wide, bulge out, pop open, fly open, spring open, become wide",
    ("verb", "narrow"): "narrow, tighten, crinkle, become slit, slit",
    ("verb", "roll"): "roll",
    ("verb", "purse"): "purse, pucker, push out, protrude, round, pucker up",
    ("verb", "press"): "press, compress, press together, purse tight, seal tight, thin, tuck, suck, roll in, fold",
    ("verb", "stick"): "stick out, poke out, stick, poke, show, push forward, jut out, jut forward, push out tongue, put out, hang out, flick out",
    ("verb", "wrinkle"): "wrinkle, wrinkle up, crinkle up, twitch",
    ("verb", "curl"): "curl, curve, quiver",
    ("verb", "clench"): "clench, grit, bare, set tight, grind, gnash",
    ("verb", "bite"): "bite, chew on, nibble",
    ("verb", "lick"): "lick, moisten, wet",
    ("verb", "flare"): "flare",
    ("verb", "return"): "return, go back, come back, get back, turn back, straighten, straighten up, straighten out, center, bring back, move back to, reset, settle, look back, settle back, swing back, back to, recover, revert, recenter, turn back around, level, return back, face back, ease back, drift back",
    ("verb", "face"): "face toward, face to",
    ("verb", "flutter"): "flutter, bat",
    ("verb", "relax"): "relax, release, soften, loosen, calm down, unwind, ease, go slack, rest, smooth out, unfurrow, drop all",
    # --- actions by their own words
    ("act", "blink"): "blink, blinking, eyeblink",
    ("act", "wink"): "wink, peek with one eye, peek through one eye",
    ("act", "squint"): "squint, squinty, squint eye, narrow eye, narrowed eye",
    ("act", "widen_eyes"): "wide eyed, wide eye, saucer eye, bug eyed, goggle",
    ("act", "roll_eyes"): "roll eye, eye roll",
    ("act", "sleepy"): "sleepy, tired, drowsy, weary, exhausted, fatigued, heavy lidded, heavy eyed, bleary, sleepiness, tiredness, get tired, fatigue",
    ("act", "fall_asleep"): "fall asleep, doze, doze off, nod off, drift off, asleep, sleep, drift to sleep, go to sleep, fall sleep",
    ("act", "wake"): "wake, wake up, awake, awaken",
    ("act", "watch"): "eye contact, make eye contact, meet gaze, look straight into camera",
    ("act", "watch_camera"): "keep eye contact, maintain eye contact, hold eye contact, hold gaze of camera, keep contact, maintain contact",
    ("act", "smile"): "smile, smiley, smiling, dimple, warmth, friendly, lovingly, tender, reassure, encourage, welcome",
    ("act", "grin"): "grin, toothy smile, show teeth, toothy grin, bare smile, cheese, say cheese",
    ("act", "smirk"): "smirk, half smile, crooked smile, lopsided smile, lopsided grin, sly smile, smug, wry smile, one sided smile, smirky, sly, mischievous, smugly, crooked grin",
    ("act", "frown"): "frown, frowny, grumpy, displeased, displeasure, disapprove, disapproval, disapproving",
    ("act", "pout"): "pout, sulk, sulky, pouty, moue",
    ("act", "pucker"): "duck face, kissy face, pouty lip, fish face, kissing face, kiss face, duck lip",
    ("act", "kiss"): "kiss, blow kiss, send kiss, air kiss, smooch, throw kiss, peck",
    ("act", "talk"): "talk, speak, say, chat, converse, mouth word, tell, babble, recite, explain, ask, answer, speech, conversation, chatter, mutter, mumble, murmur, utter, reply, address, lip sync, blabber, discuss, read aloud, speak word, greet, count, present",
    ("act", "shout"): "shout, yell, scream, shriek, holler, bellow, cry out, roar, call out, exclaim",
    ("act", "whisper"): "whisper",
    ("act", "sing"): "sing, hum, chant, croon, song",
    ("act", "laugh"): "laugh, burst out laughing, laughter, crack up, burst into laughter, guffaw, cackle, burst out laugh, laughing, hysterical, howl, break into laughter, laugh out",
    ("act", "giggle"): "giggle, chuckle, snicker, titter, snigger, chortle, small laugh, amused, amusement, amuse, snort",
    ("act", "yawn"): "yawn",
    ("act", "sneer"): "sneer, snarl, scoff, snarky",
    ("act", "gasp"): "gasp, startle, startled, gape, gasp in shock, jump in surprise, take aback, jolt",
    ("act", "sigh"): "sigh, exhale, breathe out, let out breath, breath out, blow out air, huff",
    ("act", "inhale"): "inhale, breathe in, take breath, take deep breath, breath, breathe deep, draw breath, deep breath, breath in",
    ("act", "sniff"): "sniff, sniffle, smell",
    ("act", "sneeze"): "sneeze, achoo",
    ("act", "cough"): "cough, clear throat, choke",
    ("act", "swallow"): "swallow, gulp",
    ("act", "chew"): "chew, munch, eat, chew gum",
    ("act", "blow"): "blow, whistle, blow air, blow out candle, blow candle",
    ("act", "puff_cheeks"): "puff cheek, blowfish face, hold breath, full cheek, chipmunk cheek, puffy cheek",
    ("act", "bite_lip"): "bite lip, lip bite",
    ("act", "lick_lips"): "lick lip",
    ("act", "tongue_out"): "tongue out, stick out tongue",
    ("act", "clench_jaw"): "clench jaw, clench teeth, set jaw",
    ("act", "stretch_mouth"): "grit teeth, bare teeth",
    ("act", "nod"): "nod yes, nod in agreement, agree, nod head, say yes, approve, approval, agreement, approving, affirmative, bob head, nod along, nod of head, affirm, acknowledge",
    ("act", "shake"): "shake head, say no, disagree, refuse, shake head no, head shake, shake no, shake of head, headshake, deny, disagreement, refusal, denial",
    ("act", "bow"): "bow, bow head, curtsy",
    ("act", "sway"): "sway, rock, wobble head, sway head, bobble, dance, groove",
    ("act", "shrug"): "shrug, shrug shoulder, shrugs",
    ("act", "shiver"): "shiver, tremble, shudder, shake with fear, shake with cold, shake with rage, quake",
    ("act", "flinch"): "flinch, cringe, jump back, start in fright, duck away",
    ("act", "wince"): "wince, grimace, pain, ouch, painful, in pain, hurt, strain",
    ("act", "roundlook"): "look around, scan room, glance around, look about, scan, search, gaze around, look all around, survey, eye wander, gaze wander, scan surroundings",
    ("act", "joy"): "joy, happy, joyful, delight, delighted, cheerful, glad, happiness, beam, pleased, ecstatic, elated, cheer, radiant, light up, brighten, brighten up, overjoyed, thrill, thrilled, excited, excite, excitement, merry, jolly, enthusiasm, enthusiastic, content, satisfied, contentment, pleasure, rejoice, relieved, relief, beaming, please, hopeful, grateful, proudly happy, playful, love, euphoric",
    ("act", "sadness"): "sad, sadness, sorrow, sorrowful, unhappy, upset, depressed, gloomy, melancholy, melancholic, grief, mournful, heartbroken, disappointed, disappointment, miserable, misery, down hearted, glum, dejected, regretful, crestfallen, sadden, despair, despondent, disappoint, regret, hopeless, somber, lonely",
    ("act", "surprise"): "surprise, surprised, astonished, astonishment, amazed, amazement, shock, shocked, stunned, astounded, awe, amaze, astonish, startlement, stun, in awe, wonder at, bewilder surprise, wow, incredulous, disbelief, incredulity, agape, dumbfounded, flabbergasted",
    ("act", "fear"): "fear, afraid, scared, terrified, frightened, fearful, terror, horror, horrified, panic, scare, terrify, frighten, horrify, panicked, alarmed, alarm, dread, fright, spooked, petrified",
    ("act", "anger"): "anger, angry, mad, furious, rage, enraged, irate, livid, scowl, glare, glower, irritated, irritation, annoyed, annoyance, annoy, hostile, fury, fume, aggressive, outrage, outraged, cross, wrath, grouchy, seething, infuriated, resentful, menacing, threatening, angrily, fierce, fiercely, frustrated, frustration",
    ("act", "disgust"): "disgust, disgusted, revolted, repulsed, grossed out, revulsion, yuck, nauseous, nauseated, gross out, repelled, distaste, queasy, repulsion, appalled",
    ("act", "contempt"): "contempt, contemptuous, disdain, disdainful, scorn, scornful, despise, condescending, haughty, arrogant, superior",
    ("act", "think"): "think, ponder, thoughtful, pensive, contemplate, wonder, reflect, consider, muse, deep in thought, lost in thought, ponderous, contemplative, deliberate, think hard, contemplation, daydream, remember, recall, thought, imagine, deep thought",
    ("act", "confusion"): "confused, confuse, puzzled, puzzle, confusion, perplexed, baffled, bewildered, bewilderment, puzzlement, perplex, quizzical, bemused, lost look",
    ("act", "doubt"): "doubt, doubtful, skeptical, sceptical, suspicious, suspicion, skepticism, dubious, unconvinced, distrust, distrustful, unsure, uncertain, question, questioning, suspiciously",
    ("act", "worry"): "worry, worried, anxious, anxiety, nervous, concerned, concern, uneasy, apprehensive, tense, stressed, distress, distressed, troubled, plead, begging, pity, sympathetic, sympathy, empathy, pleading, sorry, guilty",
    ("act", "cry"): "cry, sob, weep, tear up, whimper, bawl, burst into tear, in tear, tear, wail, blubber",
    ("act", "boredom"): "bored, boredom, bore, uninterested, indifferent, apathetic, unimpressed, disinterested, zone out",
    ("act", "focus"): "focus, concentrate, focused, concentrated, concentration, determined, determination, intent, attentive, serious, stern, resolute, severe, attentively, study, solemn",
    ("act", "shy"): "shy, embarrassed, bashful, embarrassment, embarrass, blush, coy, sheepish, timid, shyness, ashamed, shame, flustered, awkward",
    ("act", "pride"): "pride, proud, confident, confidence, triumphant, self satisfied, triumph, smugness",
    ("act", "flirt"): "flirt, flirty, flirtatious, seductive, flirtatiously, seductively, come hither",
    ("act", "still"): "still, stay still, hold still, motionless, keep still, freeze, do nothing, frozen, sit still, stand still, remain still, immobile, stay put, not move, do not move, not move at all, do not move at all, unmoving, no movement, without move, deadpan, stone face, poker face, stoic, expressionless, blank, not react, not moving, no motion, not do anything",
    ("act", "neutral"): "neutral, normal, back to neutral, back to normal, go neutral, resting face, return to neutral, return to normal, neutral expression, neutral face, straight face, relaxed, relax face, rest position, relaxed face, compose, regular, expression to neutral, resting, default, original, initial, compose self, rest face, resting expression, neutrality, usual",
    ("act", "idle"): "idle, breathe, natural, alive, exist, chill, casually, naturally, breathe normally, idle around, blink naturally, idly",
}

IGNORED = frozenset(
    """to of on at into onto by from off through which be do have get let make give put break show offer let out flash catch throw into bring
    just only simply then quite rather more most also same time other way there here where so too enough well
    expression look put on wear take become grow feel turn almost around ready up close for side part
    happen occur than not this that as it out again movement motion gesture action word anything something everything
    beautiful pretty lovely nice charming charmingly directly direct position pose
    state clip video shot scene frame animation whole entire full sort kind type form such
    good bad old-fashioned toward sight person's bit lot each another reaction response sign moment finally first firstly
    shape manner fashion way effort can could will would should may might must while be lean back use
    nothing if though however still even because due since tone mood air style playing play perform act animate actual own
    camera's viewer's itself completely together across along down inside under sweet sweetly cute cutely adorable graceful gracefully elegant elegantly knowing knowingly innocently invitingly politely
    quietly warm warmly kind kindly nicely sincere genuine genuinely honest real happily-ever confident-ly sign slow-ly about possible clearly visible obvious obviously evident finger
    second's hello hi yeah no yes ok okay oh hmm um ah her him us me them anew else point both pair joint set
    eventually soon begin continue deliberately intently wistful wistfully dramatic alternately alternate respectively in unison one two
    finally-ly over next last first final another face-on expressionful
    """.split()
)
"""Words that carry no motion of their own and need no comment."""

APPEARANCE = frozenset(
    """hair hairs beard bearded moustache mustache blond blonde brunette redhead bald ponytail bun curl curly freckle freckled scar wrinkled
    wear wearing shirt dress hat glasses sunglasses jacket coat suit scarf sweater necklace earring makeup lipstick tie hoodie uniform cap crown
    red blue green brown black white grey gray yellow purple pink orange golden dark pale tan skin skinned haired
    old young elderly aged teenage handsome tall slim fat thin muscular asian african european caucasian
    beach forest wall city background room street park studio lighting sunset night portrait photo photograph painting picture style cinematic
    tattoo piercing mask helmet eyeshadow blue-eyed long-haired outfit clothes costume jewelry
    """.split()
)
"""Words of the prompt, not of the motion."""


def _build() -> dict[tuple[str, ...], Entry]:
    table: dict[tuple[str, ...], Entry] = {}
    for (kind, value), text in _LINES.items():
        number: str | float = float(value) if kind in ("count", "speed", "strength", "very", "brief") else value
        phrases = text.split("|" if value == "stop" and kind == "conn" else ",")
        for phrase in phrases:
            key = tuple(word for word in phrase.split() if word not in DETERMINERS)
            if key:
                table.setdefault(key, Entry(kind, number))
    return table


PHRASES: dict[tuple[str, ...], Entry] = _build()
"""Words of a phrase -> what it means."""

LONGEST: int = max(map(len, PHRASES))

WORDS: frozenset[str] = frozenset(word for key in PHRASES for word in key) | IGNORED | APPEARANCE | SUBJECTS
"""Every single word we know, in its base form."""
