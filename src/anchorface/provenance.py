"""What every output says about itself: the recipe it was made by, and that it is synthetic.

The same JSON object travels in each format's own place (:func:`read_recipe` finds it again), next to the tag
that picture libraries and social networks look for: IPTC *Digital Source Type* in an XMP packet.

    mp4   ``comment`` and ``description`` tags; XMP in a top-level ``uuid`` box (XMP specification part 3)
    gif   comment extension
    webp  XMP chunk (tag and recipe)
    png   ``Comment`` and ``Description`` text chunks; XMP in ``XML:com.adobe.xmp``
    .json beside each of them, written for people
"""

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from .errors import InputError

SOURCE_TYPES: Mapping[str, str] = {
    name: "http://cv.iptc.org/newscodes/digitalsourcetype/" + name
    for name in (
        "trainedAlgorithmicMedia",  # made by a trained model: what `imagine` and `animate` write
        "compositeWithTrainedAlgorithmicMedia",  # such pictures beside others: `--compare`
        "algorithmicMedia",  # made by a program without training data: `render`
        "composite",  # a recording with something drawn on it: `track --preview`
    )
}
"""Name -> IPTC Digital Source Type (https://cv.iptc.org/newscodes/digitalsourcetype/)."""

_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
_NAMESPACE = "https://pypi.org/project/anchorface/ns/1.0/"


def software() -> str:
    """Name and version of this package, as written into files."""
    from importlib import metadata  # 40 ms that --help need not spend

    try:
        return "anchorface " + metadata.version("anchorface")
    except metadata.PackageNotFoundError:
        return "anchorface (not installed)"


def describe(record: Mapping[str, Any], *, source_type: str, **file: Any) -> dict[str, Any]:
    """The JSON object an output carries: ``record`` as it is, led by who made it, its nature, and ``file``.

    ``source_type`` is a key of :data:`SOURCE_TYPES`.
    """
    if source_type not in SOURCE_TYPES:
        raise InputError(f"source_type: expected one of {', '.join(SOURCE_TYPES)}, got {source_type!r}.")
    head = {
        "software": software(),
        "ai_generated": source_type.lower().endswith("trainedalgorithmicmedia"),
        "digital_source_type": SOURCE_TYPES[source_type],
        "file": file,
    }
    return jsonable({**head, **record, **head})


def sentence(recipe: Mapping[str, Any]) -> str:
    """One line for people: what the file is and what made it."""
    return f"{'AI-generated' if recipe['ai_generated'] else 'Made'} by {recipe['software']}"


def jsonable(value: Any) -> Any:
    """``value`` in JSON's own types: paths as text, arrays as lists, dataclasses as objects, NaN as null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return jsonable({item.name: getattr(value, item.name) for item in dataclasses.fields(value)})
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors: no need to import either
        return jsonable(value.tolist())
    return str(value) if not isinstance(value, PurePath) else value.as_posix()


def compact(recipe: Mapping[str, Any]) -> str:
    """``recipe`` as one line of ASCII: some readers of these tags know no other encoding."""
    return json.dumps(jsonable(recipe), separators=(",", ":"), allow_nan=False)


def pretty(recipe: Mapping[str, Any]) -> str:
    """``recipe`` as the text of the .json file beside an output."""
    return json.dumps(jsonable(recipe), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def xmp_packet(recipe: Mapping[str, Any]) -> bytes:
    """XMP packet with the Digital Source Type, a description, and the recipe under our own namespace."""
    from xml.sax.saxutils import escape  # brings urllib and http along: too slow for --help

    text = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:anchorface="{_NAMESPACE}">
<Iptc4xmpExt:DigitalSourceType>{escape(recipe["digital_source_type"])}</Iptc4xmpExt:DigitalSourceType>
<xmp:CreatorTool>{escape(recipe["software"])}</xmp:CreatorTool>
<dc:description><rdf:Alt>
<rdf:li xml:lang="x-default">{escape(sentence(recipe))}</rdf:li>
</rdf:Alt></dc:description>
<anchorface:recipe>{escape(compact(recipe))}</anchorface:recipe>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
    return text.encode()


def append_xmp_box(path: str | os.PathLike[str], packet: bytes) -> None:
    """Append ``packet`` to an mp4 file as the ``uuid`` box metadata readers know (FFmpeg writes none)."""
    with open(path, "ab") as file:
        file.write((8 + 16 + len(packet)).to_bytes(4, "big") + b"uuid" + _XMP_BOX + packet)


def record_path(output: str | os.PathLike[str]) -> Path:
    """Where the record of ``output`` lies: ``out.mp4`` -> ``out.json``, ``frames/`` -> ``frames.json``."""
    path = Path(output)
    return path.with_name(path.name + ".json") if path.is_dir() else path.with_suffix(".json")


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The recipe carried by an mp4, gif, webp, png, folder of png or .json that anchorface wrote.

    Raises:
        InputError: the file cannot be read or carries no recipe.
    """
    path = Path(path)
    if path.is_dir():
        pictures = sorted(path.glob("*.png"))
        path = pictures[0] if pictures else path
    try:
        text = path.read_text(encoding="utf-8") if path.suffix == ".json" else _embedded_text(path)
        recipe = json.loads(text) if text else None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError:  # somebody else's comment, not JSON, not text
        recipe = None
    if not isinstance(recipe, dict) or "digital_source_type" not in recipe:
        raise InputError(f"{path}: carries no anchorface recipe; was it re-encoded, or made by another program?")
    return recipe


def _embedded_text(path: Path) -> str | None:
    """The JSON text in ``path``, or None."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()  # PNG text chunks may follow the pixels
            info = dict(image.info)
    except UnidentifiedImageError:
        return _mp4_comment(path)
    found = re.search(rb"<anchorface:recipe>(.*?)</anchorface:recipe>", _as_bytes(info.get("xmp", b"")), re.DOTALL)
    if found:
        from xml.sax.saxutils import unescape

        return unescape(found[1].decode())
    return _as_bytes(info.get("Comment") or info.get("comment") or b"").decode()


def _mp4_comment(path: Path) -> str | None:
    import av

    try:
        with av.open(str(path)) as container:
            return container.metadata.get("comment")
    except (av.error.FFmpegError, ValueError):
        return None


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def sha256(path: Path) -> str:
    """Hex digest of a file, or of the names and contents of a folder's files in name order."""
    digest = hashlib.sha256()
    for file in sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(file.name.encode() + b"\0")
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
