"""Runs a document's examples in a new directory and puts in what they print; `--check` only compares.

`--commands=FOLDER` is where another `amci` lies than that of this Python.

A `console` block is run command by command. A `python` block is run as a notebook's cell would be: the names of the
earlier blocks are there, and the value of the last expression is shown. What it prints is the `text` block below it.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
#: Documents with examples.
DOCUMENTS = (
    "README.md",
    "docs/tutorial.md",
    "docs/transforms.md",
    "docs/amc-sql.md",
    "docs/python.md",
    "docs/notebook.md",
)
#: When the first example of each document is run, so that its output does not depend on the day: the sandbox's events
#: end today, and campaigns come and go with the season.
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
# A file to write: a comment with its path, then a fence. A console: a fence with `$ ` before each command. Python: a
# fence, and one below it with what was printed.
_EXAMPLE = re.compile(
    r"<!-- file: (?P<path>\S+) -->\n+```\w*\n(?P<content>.*?)^```$|^```console\n(?P<console>.*?)^```$"
    r"|^```python\n(?P<python>.*?)^```$(?:\n\n```text\n.*?^```$)?",
    re.DOTALL | re.MULTILINE,
)
# Runs cells as they come, one JSON document a line: what to run, and where. Answers with what was printed.
_PYTHON = r"""
import ast, contextlib, io, json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what is not printed by Python does not come between
names = {"__name__": "__main__"}
for line in sys.stdin:
    cell = json.loads(line)
    os.chdir(cell["cwd"])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        body = ast.parse(cell["source"]).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        try:
            exec(compile(ast.Module(body, []), "cell", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
            if value is not None:
                print(value)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    print(json.dumps(printed.getvalue()), file=answers, flush=True)
"""


def renewed(text: str, directory: Path, commands: str) -> str:
    """The document with the real output of its examples, run one after another in `directory`."""
    with _Shell(directory, commands) as shell:

        def example(match: re.Match[str]) -> str:
            if match["console"] is not None:
                return f"```console\n{shell.session(match['console'])}```"
            if match["python"] is not None:
                printed = shell.cell(match["python"])
                below = f"\n\n```text\n{printed}```" if printed else ""
                return f"```python\n{match['python']}```{below}"
            path = shell.cwd / match["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(match["content"], encoding="utf-8")
            return match[0]

        return _EXAMPLE.sub(example, text)


class _Shell:
    """A shell as a reader would use it: the directory stays changed from one command to the next."""

    def __init__(self, home: Path, commands: str) -> None:
        self.home = self.cwd = home
        self._environment = {name: v for name, v in os.environ.items() if not name.startswith("AMCI_")}
        ahead = round((NOW - datetime.now(UTC)).total_seconds())
        self._environment["AMCI_CLOCK_OFFSET"] = f"{ahead}s"
        path = [commands, str(Path(sys.executable).parent), os.environ["PATH"]]
        self._environment["PATH"] = os.pathsep.join(filter(None, path))
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._python:
            self._python.communicate()

    def cell(self, source: str) -> str:
        """What a block of Python prints, and the value of its last expression."""
        if not self._python:
            # `make install` puts pandas into a folder of its own.
            path = [str(Path(sys.prefix) / "notebook"), *filter(None, [self._environment.get("PYTHONPATH")])]
            self._python = subprocess.Popen(  # noqa: S603 - the code is that of our own documents
                [sys.executable, "-c", _PYTHON],
                env=self._environment | {"PYTHONPATH": os.pathsep.join(path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin  # noqa: S101 - for the type checker
        assert self._python.stdout  # noqa: S101
        self._python.stdin.write(json.dumps({"source": source, "cwd": str(self.cwd)}) + "\n")
        self._python.stdin.flush()
        return self._shown(str(json.loads(self._python.stdout.readline())))

    def _shown(self, output: str) -> str:
        return output.replace(str(self.home), "~")

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
        return self._shown(done.stdout)


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
    """Exit code 1 if `--check` is asked for and a document shows something else than what is printed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", nargs="*", default=DOCUMENTS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--commands", default="")
    options = parser.parse_args(arguments)
    differs = False
    for name in options.documents:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as directory:
            fresh = renewed(text, Path(directory).resolve(), options.commands)
        if options.check:
            difference = difflib.unified_diff(text.splitlines(), fresh.splitlines(), name, "run", lineterm="")
            for line in difference:
                differs = True
                sys.stderr.write(f"{line}\n")
        else:
            path.write_text(fresh, encoding="utf-8")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
