"""Where a picture's head is and how it acts, from the prompt alone: a FaceTrack for models that follow one.

The 3D face says what a small network finds hard: size and place of the head, its shape, two eyes that belong together,
the expression that was asked for. Words that say nothing about it leave it to the seed.
"""

from dataclasses import fields, replace

import numpy as np

from ...face.model import default_face
from ...motion.perform import perform
from ...motion.timeline import Timeline
from ...types import Camera, FaceTrack
from .asked import asked
from .dataset import FOV, SIZE, draw_where
from .world import EXPRESSION, Look, draw_look, expression_vector

SPREAD = 0.7
"""How far a face's shape is from its kind's mean, of what is found among people."""
LOOK_AROUND = 0.16
"""Radians of yaw to either side, over a clip."""


def look_of(prompt: str, rng: np.random.Generator) -> Look:
    """What ``prompt`` names, the rest drawn; calm, unless it says otherwise, and without what it does not name."""
    named = asked(prompt)
    bare = dict(expression="neutral", headwear="none", glasses="none", earrings="none", beard="none")
    drawn = replace(draw_look(rng), **bare)
    if drawn.framing == "bust" or "portrait" in prompt.lower():
        drawn = replace(drawn, framing="portrait")
    known = {field.name for field in fields(Look)}
    return replace(drawn, **{name: value for name, value in named.items() if name in known})


def prompt_track(
    prompt: str, seed: int, frames: int, fps: float, *, shape: np.ndarray | None = None, typical: bool = False
) -> FaceTrack:
    """A face that fits ``prompt``, breathing, blinking and looking about a little.

    Args:
        prompt: gender, age, framing and expression are read from it.
        seed: of all it does not say; the same arguments give the same track.
        frames: 1 or more.
        fps: frames per second.
        shape: this person's [S] instead of a drawn one.
        typical: without ``shape``: the mean of such people.
    """
    rng = np.random.default_rng([seed, 60])
    look = look_of(prompt, rng)
    drawn = default_face().draw_identity(rng, look.labels(), 0.0 if typical else SPREAD).numpy()
    where, turned = draw_where(look, rng), rng.normal(0, [0.04, 0.14, 0.03])
    base = FaceTrack(
        drawn if shape is None else shape, np.zeros((1, 52)), np.zeros((1, 3)), where[None], np.ones(1), fps,
        Camera.from_fov(SIZE, SIZE, FOV),
    )  # fmt: skip
    middle = (frames - 1) // 2 / fps  # where the anchor is: eyes open, unless they shall be closed
    life = perform(Timeline(), frames, fps, seed=seed, idle=True, base=base)
    t = np.arange(frames) / fps
    blink = life.expression[:, 8:10] * (np.abs(t - middle) > 0.3)[:, None]
    expression = np.maximum(life.expression, expression_vector(EXPRESSION[look.expression]) * rng.uniform(0.85, 1.0))
    expression[:, 8:10] = np.maximum(blink, expression_vector(EXPRESSION[look.expression])[8:10])
    sign, phase = rng.choice([-1, 1]), rng.uniform(-0.5, 0.5)
    around = sign * LOOK_AROUND * np.sin(2 * np.pi * (t - middle) / max(frames / fps, 1.0) + phase)
    rotation = life.rotation + turned + np.stack([0 * around, around, 0 * around], 1)
    return replace(
        life, expression=np.clip(expression, 0, 1), rotation=rotation, info={"made_by": "prompt", "seed": seed}
    )
