"""Render the example driver: an invented person who turns, talks and blinks. ``python tools/make_driver.py``.

Writes examples/driver.mp4 (512 px, 16 frames, 8 fps) from the synthetic world; no real person is in the repository.
"""

from pathlib import Path

import numpy as np

from anchorface.suite.synth.dataset import head_distance
from anchorface.suite.synth.scene import Person, backdrop_for, draw_lighting, render, vertices_of
from anchorface.suite.synth.world import Look, expression_vector
from anchorface.types import Camera, Clip
from anchorface.video import write_clip

FRAMES, SIZE, FPS = 16, 512, 8.0
LOOK = Look(
    gender="man", age="young", skin="tan", hair_style="short", hair_color="black", eyes="brown", lips="natural",
    expression="neutral", clothes="grey", background="grey", framing="portrait",
)  # fmt: skip


def motion() -> tuple[np.ndarray, np.ndarray]:
    """Expression [F, 52] and rotation [F, 3]: left, right, back to the camera, with speech, a blink and a smile."""
    t = np.linspace(0, 1, FRAMES)
    yaw = np.interp(t, [0, 0.3, 0.7, 1], [0, 0.55, -0.5, 0.05])
    yaw = np.convolve(np.pad(yaw, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    pitch = 0.08 * np.sin(2 * np.pi * t)
    expression = np.zeros((FRAMES, 52), np.float32)
    talk = np.clip(np.sin(2 * np.pi * 2.2 * np.arange(FRAMES) / FPS), 0, 1) * (t < 0.6)
    expression += talk[:, None] * expression_vector({"jawOpen": 0.45, "mouthLowerDown*": 0.4})
    expression += np.clip((t - 0.6) / 0.25, 0, 1)[:, None] * expression_vector(
        {"mouthSmile*": 0.9, "cheekSquint*": 0.5}
    )
    expression[[4, 11]] += expression_vector({"eyeBlink*": 1.0})
    return np.clip(expression, 0, 1), np.stack([-pitch, yaw, 0 * t], 1)


def main() -> None:
    """Render and write."""
    rng = np.random.default_rng(11)
    person, camera = Person.draw(LOOK, 41), Camera.from_fov(SIZE, SIZE, np.deg2rad(28))
    expression, rotation = motion()
    where = np.tile([0, -0.045, -head_distance(LOOK, rng)], (FRAMES, 1))
    light, backdrop = draw_lighting(rng), backdrop_for(person, SIZE)
    vertices = vertices_of(person, expression, rotation, where)
    frames = np.stack([render(person, v, camera, light, backdrop) for v in vertices])
    path = Path(__file__).parents[1] / "examples/driver.mp4"
    write_clip(Clip(frames, FPS, {"made_by": "tools/make_driver.py", "synthetic": True}), path)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
