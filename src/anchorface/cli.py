"""The command ``anchorface``: reads arguments, runs one command, puts foreseeable failures into a sentence.

Nothing here or in :mod:`anchorface.commands` imports torch before a command runs.
"""

import difflib
import errno
import functools
import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from .commands.console import heeding_interrupts, say
from .errors import AnchorfaceError, InputError

COMMANDS: dict[str, str] = {
    "animate": "Prompt and driver in, anchored animation out.",
    "imagine": "One picture by the bare text-to-image model: what animate anchors on.",
    "track": "Follow the face in a video and write what it does.",
    "motion": "A sentence, or a timeline, becomes a face track.",
    "convert": "Tracks to and from recorders' and 3D files.",
    "recombine": "One track's shape, another's expression, a third one's pose; then edit.",
    "render": "Draw the condition maps of a track.",
    "evaluate": "Motion, jump, fidelity and control accuracy of clips, as a page.",
    "train": "Fine-tune the motion module beside the anchor, or a control adapter, on your clips.",
    "inspect": "What a model file is, and whether it can be used.",
    "bench": "Seconds per step against diffusers, on the same weights.",
    "selftest": "Check exactness and arithmetic on your own weights.",
    "fetch": "Download known models from the hub.",
}
"""Command -> what it does. Each is the function of its name in the module of its name below ``commands``."""

_DESCRIPTION = """Animate any personalised Stable Diffusion face model without losing the face.

anchorface animate "a man with a red beard" --drive talk.mp4 -o out.mp4
"""

_QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_OFFLINE": "1",  # models are folders on this machine; a typing error must not become a download
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "GLOG_minloglevel": "2",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Environment of the libraries below us; what the user has set already wins."""

_FAILED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own); return 0, or 2 for a foreseeable failure.

    With ANCHORFACE_DEBUG=1 in the environment failures keep their traceback and libraries may talk.
    """
    debug = os.environ.get("ANCHORFACE_DEBUG", "") not in ("", "0")
    try:
        run = _parse(sys.argv[1:] if argv is None else argv)
        if debug:
            run()
            return 0
        with heeding_interrupts():
            for name, value in _QUIET.items():
                os.environ.setdefault(name, value)
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                run()
    except SystemExit as stop:  # tyro has printed help (code 0) or what it did not understand (code 2)
        return 0 if stop.code in (0, None) else _FAILED
    except (KeyboardInterrupt, Exception) as error:
        message = explain(error)
        if debug or message is None:
            raise
        say(message, stderr=True, style="bold red")
        return _FAILED
    return 0


def _parse(argv: Sequence[str]) -> Callable[[], None]:
    """The chosen command with its arguments, ready to run. Only that command's module is imported.

    Raises:
        SystemExit: help was asked for (0), or the arguments were not understood (2).
        InputError: no such command.
    """
    if not argv or argv[0] in ("-h", "--help"):
        say(_overview(), stderr=not argv)
        raise SystemExit(0 if argv else _FAILED)
    if argv[0] == "--version":
        from . import __version__

        say(f"anchorface {__version__}")
        raise SystemExit(0)
    name = argv[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(COMMANDS)
        raise InputError(f"No command {name!r}; {hint}")
    import tyro

    command = getattr(importlib.import_module(f".commands.{name}", __package__), name)

    @functools.wraps(command)
    def bind(*args: object, **kwargs: object) -> Callable[[], None]:
        return functools.partial(command, *args, **kwargs)

    conf = tyro.conf
    return tyro.cli(
        bind,
        prog=f"anchorface {name}",
        args=list(argv[1:]),
        config=(
            conf.OmitArgPrefixes,
            conf.UseAppendAction,
            conf.DisallowNone,
            conf.PositionalMetavarFromFieldName,
        ),
    )


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [_DESCRIPTION, "usage: anchorface COMMAND ...", "", *lines, "", "anchorface COMMAND --help says more."]
    )


def explain(error: BaseException) -> str | None:
    """One sentence with a remedy for a failure that is not a fault of ours; None for the others."""
    if isinstance(error, AnchorfaceError):
        return _with_option_name(str(error))
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted; no unfinished output was left behind."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'output'}: the disk is full; free some space or choose another folder."
    # torch reports exhausted memory as RuntimeError, on the CPU and on the GPU alike.
    text = str(error).lower()
    no_memory = isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    if isinstance(error, MemoryError) or no_memory:
        return "Out of memory; try --vram 6, fewer frames (-L), smaller pictures (-W, -H), or close other programs."
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}."
    return None


def _with_option_name(message: str) -> str:
    """Options as the command line spells them: ``anchor.index: expected`` -> ``--anchor-index: expected``."""
    names = {
        "anchor.driving": "driving",
        "anchor.index": "anchor-index",
        "anchor.keep": "keep-anchor",
        "anchor.reference": "reference",
        "control_weight": "control-weight",
        "control_schedule": "control-schedule",
        "control_region": "control-region",
        "clip_skip": "clip-skip",
        "prompt_at": "prompt-at",
        "output_fps": "output-fps",
    }
    words = "seed|steps|cfg|negative|sampler|width|height|frame|length|fps|drive|motion|window|overlap|compare"
    words += "|anchor.index|anchor.keep|anchor.driving|anchor.reference|control_weight|control_schedule"
    words += "|control_region|face|clip_skip|vram|controlnet|prompt_at|audio|output_fps|against|pairs"
    found = re.match(r"anchor\.(difference_of|difference|weight|shared_start|mixed_noise|image|best_of): ", message)
    if found:
        return "--anchor-" + found[1].replace("_", "-") + message[found.end() - 2 :]
    return re.sub(rf"^({words}): ", lambda found: f"--{names.get(found[1], found[1])}: ", message)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, *_: object) -> None:
    """Show our own warnings as one line; other libraries' are for developers (ANCHORFACE_DEBUG=1)."""
    if category is UserWarning and Path(__file__).parent in Path(filename).parents:
        say(f"Note: {message}", stderr=True)


if __name__ == "__main__":
    sys.exit(main())
