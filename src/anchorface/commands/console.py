"""What commands say: progress on stderr when it is a terminal, one closing line on stdout."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Report = Callable[[int, int], None]
"""How stages report progress: ``progress(steps done, steps in all)``."""


_interrupted = threading.Event()


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Remember a Ctrl-C for the length of the block, for libraries swallow those that come while they are imported.

    :func:`progress_bar` raises the KeyboardInterrupt again at the next step.
    """

    def remember(number: int, frame: object) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    _interrupted.clear()
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is not signal.default_int_handler:
        yield  # not ours to change
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _heeding(report: Report) -> Report:
    def checked(done: int, total: int) -> None:
        if _interrupted.is_set():
            raise KeyboardInterrupt
        report(done, total)

    return checked


def say(text: str, *, stderr: bool = False, style: str | None = None) -> None:
    """Print ``text`` as it is: no markup, no wrapping, so that paths can be copied."""
    if style is None:
        print(text, file=sys.stderr if stderr else sys.stdout)
        return
    from rich.console import Console  # a tenth of the time that --help may take

    Console(stderr=stderr).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def closing_line(path: Path, facts: str, started: float) -> None:
    """Say where the result is, what it is, its size on disk, and the seconds since ``started``."""
    files = [item for item in path.iterdir() if item.is_file()] if path.is_dir() else [path]
    size = sum(item.stat().st_size for item in files)
    amount = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size, 1000) / 1e3:.0f} kB"
    say(f"{path}: {facts}, {amount}, {time.perf_counter() - started:.1f} s")


@contextlib.contextmanager
def progress_bar(task: str) -> Iterator[Report]:
    """A function for stages to report steps to, drawn as a bar with the time left; silent without a terminal.

    Until the first report (networks are being loaded) the bar pulses.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _heeding(lambda done, total: None)
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as shown:
        bar = shown.add_task(task, total=None)
        yield _heeding(lambda done, total: shown.update(bar, completed=done, total=total))
