"""Runs a document's examples in a new directory and puts in what they print; `--check` only compares."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Documents with examples.
DOCUMENTS = ("README.md", "docs/tutorial.md", "docs/transforms.md", "docs/amc-sql.md")
#: When the first example of each document is run, so that its output does not depend on the day: the sandbox's events
#: end today, and campaigns come and go with the season.
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
# A file to write: a comment with its path, then a fence. A console: a fence with `$ ` before each command.
_EXAMPLE = re.compile(
    r"<!-- file: (?P<path>\S+) -->\n+```\w*\n(?P<content>.*?)^```$|^```console\n(?P<console>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def renewed(text: str, directory: Path) -> str:
    """The document with the real output of its commands, run one after another in `directory`."""
    shell = _Shell(directory)

    def example(match: re.Match[str]) -> str:
        if match["console"] is None:
            path = shell.cwd / match["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(match["content"], encoding="utf-8")
            return match[0]
        return f"```console\n{shell.session(match['console'])}```"

    return _EXAMPLE.sub(example, text)


class _Shell:
    """A shell as a reader would use it: the directory stays changed from one command to the next."""

    def __init__(self, home: Path) -> None:
        self.home = self.cwd = home
        self._environment = {name: v for name, v in os.environ.items() if not name.startswith("AMCI_")}
        ahead = round((NOW - datetime.now(UTC)).total_seconds())
        self._environment["AMCI_CLOCK_OFFSET"] = f"{ahead}s"
        self._environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def session(self, console: str) -> str:
        steps = [(command.replace("\n", "\n> "), self._run(command)) for command in _commands(console)]
        return "\n".join(f"$ {shown}\n{output}" for shown, output in steps)

    def _run(self, command: str) -> str:
        if command.startswith("cd "):
            self.cwd /= command.removeprefix("cd ")
            return ""
        done = subprocess.run(  # noqa: S603 - the commands are those of our own documents
            ["/bin/bash", "-c", command],
            cwd=self.cwd,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout.replace(str(self.home), "~")


def _commands(console: str) -> list[str]:
    """The commands of a console block; lines that go on begin with `> `."""
    found: list[str] = []
    goes_on = False
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append(line.removeprefix("$ "))
            goes_on = True
        elif goes_on and line.startswith("> "):
            found[-1] += "\n" + line.removeprefix("> ")
        else:
            goes_on = False
    return found


def main(arguments: list[str]) -> int:
    """Exit code 1 where `--check` is asked for and a document shows something else than what is printed."""
    is_check = "--check" in arguments
    differs = False
    for name in [a for a in arguments if a != "--check"] or DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as directory:
            fresh = renewed(text, Path(directory).resolve())
        if is_check:
            difference = difflib.unified_diff(text.splitlines(), fresh.splitlines(), name, "run", lineterm="")
            for line in difference:
                differs = True
                sys.stderr.write(f"{line}\n")
        else:
            path.write_text(fresh, encoding="utf-8")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
