"""A terminal that can be closed: what happens when a person closes the window or the connection breaks."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

from usage_pipeline_tests.stack import Checkout


def _sit_down(slave: int) -> None:
    """Its own terminal, whose end is heard also where the suite itself ignores hangups."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


class Terminal:
    """A verb of ours in a pseudo-terminal of its own; what it says of itself may go to a file instead."""

    def __init__(self, checkout: Checkout, *words: str, narration: Path | None = None) -> None:
        self.master, slave = pty.openpty()
        self.shown = ""
        self.narration = narration
        with (narration or Path(os.devnull)).open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "usage_pipeline", *words], cwd=checkout.folder,
                env=checkout.environment(TERM="xterm", CI="1"),
                stdin=slave, stdout=slave, stderr=file if narration else slave,
                start_new_session=True, preexec_fn=lambda: _sit_down(slave),
            )  # fmt: skip
        os.close(slave)

    @property
    def said(self) -> str:
        return self.shown + (self.narration.read_text() if self.narration else "")

    def standing(self, seconds: float = 120) -> str:
        """What it says once it stands."""
        return self.until("Ctrl-C stops", seconds)

    def until(self, words: str, seconds: float = 60) -> str:
        """What it said once it said these words."""
        deadline = time.monotonic() + seconds
        while words not in self.said and time.monotonic() < deadline and self.process.poll() is None:
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 65536).decode(errors="replace")
        assert words in self.said, self.said
        return self.said

    def type(self, line: str) -> None:
        """What a person answers."""
        os.write(self.master, f"{line}\n".encode())

    def close(self) -> int:
        """Its exit code after the other end of the terminal is gone."""
        os.close(self.master)
        return self.process.wait(60)
