"""Put what was trained into the package: ``python tools/ship_suite.py SUITE --classifier DIR --characters FILE...``.

SUITE is the folder that ``python -m anchorface.training.recipe`` wrote; the classifier's and the characters' files go
beside it, and the manifest gets their hashes. What is not given stays as it was.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from safetensors import safe_open

from anchorface.suite import characters, suite_folder


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def told(path: Path) -> dict:
    """What a character's file says of itself."""
    with safe_open(path, "pt") as file:
        recipe = json.loads(file.metadata()["anchorface"])
    return {key: recipe[key] for key in ("trained", "word", "options", "last_losses") if key in recipe}


def main() -> None:
    """Copy, hash, write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, nargs="?")
    parser.add_argument("--classifier", type=Path, help="folder of model.safetensors")
    parser.add_argument("--characters", type=Path, nargs="*", default=[], help="LoRA files, NAME.safetensors")
    args = parser.parse_args()
    target = suite_folder()
    kept = target.parent / "classifier.kept"
    if (target / "classifier").is_dir():
        shutil.copytree(target / "classifier", kept, dirs_exist_ok=True)
    if args.suite:
        shutil.rmtree(target)
        shutil.copytree(args.suite, target)
    source = args.classifier or (kept if kept.is_dir() else None)
    if source:
        shutil.copytree(source, target / "classifier", dirs_exist_ok=True)
    shutil.rmtree(kept, ignore_errors=True)
    beside = target.with_name("characters")
    beside.mkdir(exist_ok=True)
    for path in args.characters:
        shutil.copyfile(path, beside / path.name)
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["sha256"] = {str(p.relative_to(target)): sha256(p) for p in sorted(target.rglob("*.safetensors"))}
    manifest["characters"] = {n: {"sha256": sha256(p), **told(p)} for n, p in characters().items()}
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    for path in [*target.rglob("*"), *beside.glob("*")]:
        if path.is_file():
            path.chmod(0o644)
    print(sum(p.stat().st_size for p in (*target.rglob("*"), *beside.glob("*")) if p.is_file()) / 2**20, "MB")


if __name__ == "__main__":
    main()
