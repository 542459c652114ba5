"""How much of a face survives the suite's autoencoder: ``python tools/score_autoencoder.py [--count 128] [--vae DIR]``.

Held-out renders (seeds no training saw), there and back:

    psnr        dB over whole pictures, and over the head's box
    landmarks   median shift of the tracker's 478 landmarks, in pixels of the 128-pixel picture
    eyes        correlation of the eyes' opening (lid distance over eye width) between render and reconstruction

Pictures are enlarged four times for the tracker. Faces that it does not find in the render are left out and counted.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from anchorface.suite.synth.dataset import still_sample
from anchorface.tracking.detect import Detector, MediaPipeDetector

SEED = 6_000_000_000
SUITE = Path(__file__).parents[1] / "src/anchorface/suite/weights/vae"
LIDS = ((159, 145, 33, 133), (386, 374, 263, 362))
"""Of each eye: upper and lower lid, outer and inner corner (MediaPipe's numbers)."""


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between uint8 pictures."""
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def opening(points: np.ndarray) -> float:
    """Mean over the eyes of lid distance / eye width, from landmarks [478, 2]."""
    ratio = lambda e: np.linalg.norm(points[e[0]] - points[e[1]]) / np.linalg.norm(points[e[2]] - points[e[3]])  # noqa: E731
    return float(np.mean([ratio(eye) for eye in LIDS]))


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] uint8 through the latents' mode and back."""
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    out = vae.decode(vae.encode(x).latent_dist.mode()).sample[0].clamp(-1, 1)
    return ((out.permute(1, 2, 0).numpy() + 1) * 127.5 + 0.5).astype(np.uint8)


def score(vae: AutoencoderKL, count: int) -> tuple[dict[str, float], np.ndarray]:
    """The figures, and a sheet of the first 8 pictures above their reconstructions."""
    detector = MediaPipeDetector()
    whole, box, shift, eyes, rows, lost = [], [], [], [], [], 0
    for i in range(count):
        sample = still_sample(SEED + i)
        picture = sample.pictures[0]
        back = reconstruct(vae, picture)
        rows.append((picture, back))
        whole.append(psnr(picture, back))
        y, x = np.nonzero(sample.regions[0] == 1)
        inside = slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1)
        box.append(psnr(picture[inside], back[inside]))
        points = [landmarks(detector, p) for p in (picture, back)]
        if points[0] is None or points[1] is None:
            lost += 1
            continue
        shift.append(np.median(np.linalg.norm(points[0] - points[1], axis=1)))
        if sample.record["glasses"] != "sunglasses":
            eyes.append([opening(p) for p in points])
    figures = {
        "psnr": np.mean(whole), "psnr_face_box": np.mean(box), "landmark_shift_px": np.median(shift),
        "eye_opening_correlation": np.corrcoef(np.array(eyes).T)[0, 1], "faces_lost": lost, "count": count,
    }  # fmt: skip
    sheet = np.concatenate([np.concatenate([r[k] for r in rows[:8]], 1) for k in (0, 1)])
    return {name: round(float(value), 3) for name, value in figures.items()}, sheet


def landmarks(detector: Detector, picture: np.ndarray) -> np.ndarray | None:
    """Landmarks [478, 2] in the picture's own pixels; None where no face is found."""
    h, w = picture.shape[:2]
    large = np.asarray(Image.fromarray(picture).resize((4 * w, 4 * h), Image.Resampling.BICUBIC))
    found = detector.detect(large[None])
    return found.landmarks[0, :, :2] / 4 if found.found[0] else None


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--vae", type=Path, default=SUITE, help="an AutoencoderKL folder")
    parser.add_argument("--sheet", type=Path, help="also write a sheet of renders above reconstructions")
    parser.add_argument("-o", "--output", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    vae = AutoencoderKL.from_pretrained(args.vae, local_files_only=True).float().eval()
    figures, sheet = score(vae, args.count)
    print(json.dumps(figures, indent=1))
    if args.output:
        args.output.write_text(json.dumps(figures, indent=1) + "\n")
    if args.sheet:
        Image.fromarray(sheet).save(args.sheet)


if __name__ == "__main__":
    main()
