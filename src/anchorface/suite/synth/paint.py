"""Colours of the synthetic world at points of the mean head: skin, eyes, beards, cloth; and how light falls on them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .world import COLORS, EYE_COLOR, HAIR_COLOR, SKIN, Look

Noise = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Lighting:
    """A soft key light: unit direction towards the light (camera axes), strengths of key, sky fill and rim."""

    key: np.ndarray
    strength: float
    fill: float
    rim: float
    warmth: float


def draw_lighting(rng: np.random.Generator) -> Lighting:
    """Key from the front half above eye level; the fill never lets shadows go black."""
    azimuth, height = rng.uniform(-1.1, 1.1), rng.uniform(0.1, 0.9)
    key = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    return Lighting(
        key, rng.uniform(0.5, 0.72), rng.uniform(0.42, 0.55), rng.uniform(0.0, 0.3), rng.uniform(-0.04, 0.06)
    )


def rgb(color: tuple[int, int, int]) -> np.ndarray:
    """Display values 0..255 -> float [3] in 0..1."""
    return np.array(color, np.float32) / 255


def beard_cover(kind: str, p: np.ndarray) -> np.ndarray:
    """How much beard grows at canonical points ``p`` [P, 3]: 0..1 [P]."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    soft = lambda v, w=0.005: np.clip(v / w + 0.5, 0, 1)  # noqa: E731
    lip = soft(1 - (x / 0.031) ** 2 - ((y + 0.0135) / 0.0085) ** 2, 0.6) * (z > 0.085)
    chin = soft(0.025 - x) * soft(-0.041 - y) * (z > 0.05) * soft(y + 0.098)
    ring = soft(1 - np.abs(np.hypot(x / 1.05, (y + 0.03) / 1.0) - 0.029) / 0.007, 0.8) * (z > 0.075)
    high = np.interp(z, [0.0, 0.025, 0.05, 0.08, 0.1], [0.02, 0.012, -0.012, -0.022, -0.022])
    low = np.interp(z, [0.0, 0.03, 0.06, 0.1], [-0.03, -0.062, -0.085, -0.105])
    jaw = soft(high - y, 0.008) * soft(y - low, 0.008) * soft(z - 0.008)
    if kind == "moustache":
        return lip
    if kind == "goatee":
        return np.maximum(np.maximum(lip, chin), ring)
    if kind in ("full beard", "stubble"):
        return np.maximum(np.maximum(lip, jaw), ring)
    return np.zeros(len(p))


BEARD_METRES = {"none": 0.0, "stubble": 0.0, "moustache": 0.004, "goatee": 0.006, "full beard": 0.008}


WRINKLES = {"young": 0.0, "middle-aged": 0.5, "old": 1.0}
"""How deep the marks of age are, of 1."""


def _wrinkles(color: np.ndarray, p: np.ndarray, noise: Noise, depth: float) -> np.ndarray:
    """Lines of the forehead and crow's feet, broken up by noise, folds beside nose and mouth, bags below the eyes.

    As wide as 1 to 2 pixels of a 128-pixel picture: what is finer, nobody sees there. The old are also a little paler.
    """
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    wave = y + 0.004 * (noise(p, 30) - 0.5)
    line = np.clip(np.sin(wave * 2 * np.pi / 0.0095) - 0.2, 0, 1) * (0.6 + 0.6 * noise(p, 60, 1))
    place = np.exp(-(((y - 0.094) / 0.018) ** 2) - (x / 0.045) ** 2) + 0.8 * np.exp(
        -(((y - 0.040) / 0.014) ** 2) - ((x - 0.057) / 0.008) ** 2
    )
    fold = np.exp(-(((x - 0.023 - 0.5 * np.clip(0.008 - y, 0, 1)) / 0.0030) ** 2)) * (y < 0.011) * (y > -0.024)
    corner = np.exp(-(((x - 0.027) / 0.0030) ** 2)) * (y < -0.024) * (y > -0.050)
    bag = np.exp(-(((y - 0.0225 - 3.5 * (x - 0.031) ** 2) / 0.0026) ** 2) - ((x - 0.031) / 0.014) ** 4)
    dark = 0.42 * line * place + 0.34 * fold + 0.22 * corner + 0.30 * bag
    color = color * (1 - (depth * dark * (z > 0.04))[:, None])
    return color + 0.12 * depth**2 * (color.mean(1, keepdims=True) * 1.04 - color)


def _brows(x: np.ndarray, y: np.ndarray, z: np.ndarray, fine: np.ndarray, woman: bool) -> np.ndarray:
    """Cover [P] of the brows: an arc that rises a little outwards and tapers; women's are thinner and more arched."""
    rise, width = (0.0062, 0.8) if woman else (0.0030, 1.25)
    arc = 0.0672 + rise * np.sin(np.clip((x - 0.009) / 0.044, 0, 1) * 2.5)
    half = width * np.interp(x, [0.009, 0.013, 0.035, 0.052], [0, 0.0038, 0.0033, 0.0006])
    return np.clip((half - np.abs(y - arc)) / 0.0016 + 0.6 * fine, 0, 1) * (z > 0.06) * (x > 0.008) * (x < 0.053)


def hair_tone(look: Look) -> np.ndarray:
    """Colour [3] of brows and beard: the hair's, or brown on the bald."""
    return rgb(HAIR_COLOR[look.hair_color if look.hair_style != "bald" else "brown"])


def paint_body(look: Look, at: np.ndarray, seed: int, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    """Albedo [P, 3] and gloss [P] of skin, eyes, teeth and tongue from interpolated attributes [P, 15]."""
    rng, woman = np.random.default_rng([seed, 2]), look.gender == "woman"
    p, eye, (lips, lids, ears, inside), part = at[:, :3], at[:, 3:6], at[:, 6:10].T, at[:, 10:14]
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    base = rgb(SKIN[look.skin]) * rng.uniform(0.95, 1.05)
    fine = noise(p, 420) - 0.5
    color = base * (1 + 0.05 * fine[:, None] + 0.05 * (noise(p, 60, 1)[:, None] - 0.5))
    blush = np.exp(-(((x - 0.036) / 0.018) ** 2) - ((y - 0.01) / 0.018) ** 2) + 0.8 * np.exp(
        -((x / 0.012) ** 2) - ((y - 0.005) / 0.012) ** 2
    )
    blush = np.where(z > 0.06, blush, 0) + 0.5 * ears
    color = color * (1 - blush[:, None] * np.array([0.0, 0.11, 0.1]))
    if look.freckles == "freckles":
        where = np.exp(-(((y - 0.010) / 0.026) ** 4) - (x / 0.055) ** 4) * (z > 0.05)
        spots = np.clip((noise(p + 0.37, 290) - 0.55) / 0.12, 0, 1) * where
        color = color * (1 - spots[:, None] * np.array([0.36, 0.50, 0.56]))
    lip = (
        np.array([0.74, 0.07, 0.13])
        if look.lips == "red"
        else base * np.array([0.86, 0.52, 0.54] if woman else [0.86, 0.62, 0.60])
    )
    color = color * (1 - lips[:, None]) + lip * lips[:, None]
    color = color * (1 - (0.34 if woman else 0.16) * lids[:, None])
    if WRINKLES[look.age]:
        color = _wrinkles(color, p, noise, WRINKLES[look.age])
    hair = hair_tone(look)
    brow = _brows(x, y, z, fine, woman)
    color = color * (1 - 0.85 * brow[:, None]) + np.minimum(hair * 0.7, base * 0.62) * 0.85 * brow[:, None]
    if look.beard != "none":
        cover = beard_cover(look.beard, p) * (1 - lips) * (ears < 0.2)
        strand = 0.7 + 0.6 * noise(p * np.array([1.0, 0.35, 1.0]), 420)
        strength = (
            0.6 * np.clip(0.6 + 1.6 * fine, 0.4, 1) if look.beard == "stubble" else np.clip(2.2 * cover - 0.5, 0, 1)
        )
        beard = np.minimum(hair * 0.9, 0.75)[None] * strand[:, None]
        mix = (strength * cover)[:, None]
        color = color * (1 - mix) + (beard if look.beard != "stubble" else np.minimum(hair * 0.8, base * 0.5)) * mix
    color = np.where((inside > 0.5)[:, None] & (lips < 0.3)[:, None], np.array([0.42, 0.13, 0.13]), color)
    gloss = 0.14 + 0.25 * lips + (0.25 if look.lips == "red" else 0) * lips
    return _paint_inner(look, color, gloss, eye, part)


def _paint_inner(
    look: Look, color: np.ndarray, gloss: np.ndarray, eye: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Eyeballs, teeth and tongue over the skin's colour."""
    on_eye, on_teeth, on_tongue = part[:, 1] > 0.5, part[:, 2] > 0.5, part[:, 3] > 0.5
    angle = np.arctan2(np.hypot(eye[:, 0], eye[:, 1]), eye[:, 2])
    iris, white = rgb(EYE_COLOR[look.eyes]), np.array([0.93, 0.91, 0.89])
    edge = lambda r, w=0.05: np.clip((r - angle) / w + 0.5, 0, 1)[:, None]  # noqa: E731
    ball = white + (iris * (0.75 + 0.9 * np.clip(angle - 0.2, 0, 0.3)[:, None]) - white) * edge(0.50)
    ball = ball * (1 - 0.45 * edge(0.50) * (1 - edge(0.42)))
    ball = ball * (1 - edge(0.2)) + 0.03 * edge(0.2)
    color = np.where(on_eye[:, None], ball, color)
    color = np.where(on_teeth[:, None], np.array([0.90, 0.87, 0.80]), color)
    color = np.where(on_tongue[:, None], np.array([0.72, 0.33, 0.34]), color)
    return color, np.where(on_eye, 0.5, gloss)


def paint_cloth(look: Look, p: np.ndarray, noise: Noise, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Albedo [P, 3] of the garment at canonical points [P, 3], and where it shows skin instead [P] bool."""
    rng = np.random.default_rng([seed, 6])
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    tone, white = rgb(COLORS[look.clothes]), np.array([0.92, 0.92, 0.90])
    color = tone * (1 + 0.08 * (noise(p, 300)[:, None] - 0.5))
    bare = np.zeros(len(p), bool)
    front = np.clip((z + 0.06) / 0.08, 0, 1)
    if look.garment == "striped sweater":
        other = white if tone.mean() < 0.7 else tone * 0.35
        stripe = (np.sin((y + 0.02 * noise(p, 20)) * 2 * np.pi / 0.042) > 0.25)[:, None]
        color = np.where(stripe, other, color)
    elif look.garment == "t-shirt":
        neckline = -0.125 - rng.uniform(0.02, 0.045) * front + 0.25 * x * front
        bare = (y > neckline) & (x < 0.13)
        hem = (y > neckline - 0.008) & ~bare
        color = np.where(hem[:, None], color * 0.8, color)
    elif look.garment == "suit":
        opening = np.clip((y + 0.29) * 0.34, 0, 0.06) * (z > -0.05)
        shirt, lapel = x < opening, (x < opening + 0.030) & (y > -0.27) & (z > -0.06)
        color = np.where(lapel[:, None], color * 0.72, color)
        color = np.where((shirt | (y > -0.105))[:, None], white, color)
        if rng.random() < 0.55:
            tie = (x < np.interp(-y, [0.10, 0.125, 0.3], [0.013, 0.008, 0.018])) & (z > -0.03) & (y < -0.1)
            color = np.where(tie[:, None], rgb(COLORS[("red", "blue", "black")[rng.integers(3)]]) * 0.8, color)
        bare = y > -0.088
    return color, bare


def shade(
    color: np.ndarray,
    normal: np.ndarray,
    occlusion: np.ndarray,
    gloss: np.ndarray,
    light: Lighting,
    power: float,
) -> np.ndarray:
    """Wrapped diffuse key + hemisphere fill + soft highlight + rim, in display values [P, 3]."""
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    lambert = np.clip((normal @ light.key + 0.35) / 1.35, 0, 1)
    half = light.key + np.array([0, 0, 1.0])
    shine = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** power
    sky = 0.75 + 0.25 * normal[:, 1]
    rim = light.rim * np.clip(1 - np.abs(normal[:, 2]), 0, 1) ** 3
    tint = np.array([1 + light.warmth, 1, 1 - light.warmth])
    # Light that left the skin again is redder: occluded places never go grey or black.
    diffuse = light.strength * lambert[:, None] * tint + light.fill * (sky * occlusion)[:, None]
    diffuse = diffuse * (0.55 + 0.45 * occlusion[:, None]) ** np.array([0.8, 1.1, 1.15])
    return color * diffuse + (gloss * shine * occlusion)[:, None] * 0.55 + rim[:, None] * 0.5
