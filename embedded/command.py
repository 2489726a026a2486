"""One command in the foreground, beside servers that outlive it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence

from embedded.service import launched


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Its exit code, as a shell has it. Standard input, output and the terminal are ours."""
    # It stays in the terminal's group, so that Ctrl-C and a debugger's prompt reach it; we wait for it to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(launched(command, death_signal=signal.SIGTERM), env=environment)
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return code if code >= 0 else 128 - code
