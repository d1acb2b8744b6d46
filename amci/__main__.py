"""Entry point: has the command run by a process that `amci up` keeps ready for it, or runs it here."""

from __future__ import annotations

import signal

#: Whether SIGINT raises KeyboardInterrupt; it does not if a shell started this to go on by itself.
_RAISES = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _RAISES:
    # While Python imports, nothing is begun that could be lost: it ends at once and quietly, as by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys  # noqa: E402 - after the first signal is provided for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn  # whose import takes as long as a fifth of a query


def main() -> NoReturn:
    """Run the `amci` command; the exit codes are those of `amci.kernel.errors`."""
    if _RAISES and sys.platform == "linux":
        from amci.cli.fork_client import hand_over

        code = hand_over(sys.argv)
        if code is not None:
            sys.exit(code)
    from amci.cli.main import run

    run(raises=_RAISES)


if __name__ == "__main__":
    main()
