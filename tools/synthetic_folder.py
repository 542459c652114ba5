"""Clips of the synthetic world as training data: ``python tools/synthetic_folder.py FOLDER [--count 160] [--gap 1]``.

Folders of pictures with captions and true tracks, as ``anchorface train motion FOLDER`` reads them. Gap 0 is clean;
0.5, 1 and 1.5 are the video domain: soft, compressed, plain rooms. Seeded; what is there already is kept.
"""

import argparse
from pathlib import Path

import torch

from anchorface.suite.synth.folders import write_clips

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--seed", type=int, default=5_000_000_000)
    parser.add_argument("--gap", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for path in write_clips(args.folder, args.count, args.seed, gap=args.gap, workers=args.workers):
        print(path, flush=True)
