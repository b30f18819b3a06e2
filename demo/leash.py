"""Run a program that ends when its parent ends: `leash.py PARENT_PID PROGRAM ARGUMENT…`."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the signal was asked for
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - replacing this process is the point


if __name__ == "__main__":
    main()
