from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CONSOLE = ROOT / "docs" / "console.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CONSOLE, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "document", ["README.md", "docs/tutorial.md", "docs/transforms.md", "docs/python.md", "docs/notebook.md"]
)
def test_the_examples_of_a_document_print_what_it_shows(document: str, commands: Path) -> None:
    done = run(document, "--check", f"--commands={commands}")
    assert done.returncode == 0, done.stderr


def test_a_document_that_shows_something_else_is_told_apart(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "<!-- file: a/b -->\n\n```text\nhere\n```\n\n```console\n$ cd a\n\n$ cat b\nthere\n```\n"
    )
    done = run(str(document), "--check")
    assert done.returncode == 1
    assert "-there\n+here\n" in done.stderr
    assert run(str(document)).returncode == 0
    assert "$ cat b\nhere\n```" in document.read_text()
    assert run(str(document), "--check").returncode == 0


def test_python_is_run_like_a_notebook_and_shows_what_it_printed(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    cells = ["n = 2\nprint(n)\nn + 1", "n / 0"]
    document.write_text("\n\n".join(f"```python\n{cell}\n```" for cell in cells) + "\n\n```text\nold\n```\n")
    assert run(str(document)).returncode == 0
    assert re.findall(r"```text\n(.*?)```", document.read_text(), re.DOTALL) == [
        "2\n3\n",
        "ZeroDivisionError: division by zero\n",
    ]
    assert run(str(document), "--check").returncode == 0


def test_make_demo_and_make_test_are_what_the_readme_says() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "install"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
    assert "$(VENV)/bin/amci demo $(DIR)" in makefile
