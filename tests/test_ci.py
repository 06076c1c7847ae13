"""The README's commands are found and run as written."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / ".ci" / "readme_commands.py"

README = """
# Title
```bash
# a remark
make test
echo one \\
  two
```
<!-- ci: skip needs a TPU -->
```bash
python -m train --config pod
```
```python
not_a_command()
```
<!-- ci: echo small -->
<!-- an ordinary comment -->

```bash
echo large
```
"""


@pytest.fixture(scope="module")
def readme_commands():
    spec = importlib.util.spec_from_file_location("readme_commands", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_blocks_are_found(readme_commands) -> None:
    first, second, third = readme_commands.blocks(README)
    assert first.script == "# a remark\nmake test\necho one \\\n  two"
    assert (second.skip, second.script) == ("needs a TPU", "python -m train --config pod")
    assert third.script == "echo small"
    assert README.splitlines()[third.line - 1] == "```bash"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<!-- ci: skip -->\n```bash\nx\n```", "needs a reason"),
        ("<!-- ci: echo -->\n", "no bash block follows"),
        ("```bash\nx\n", "never closed"),
    ],
)
def test_mistakes_are_named(readme_commands, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        readme_commands.blocks(text)


def test_commands_run_and_failures_count(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(README + "```bash\nfalse\necho not reached\n```\n")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), "--done", "make test"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    printed = done.stdout.splitlines()
    assert done.returncode == 1
    assert "one two" in printed and "small" in printed
    assert "not reached" not in printed and "large" not in printed
    assert "-- README.md: 4 blocks, 1 skipped, 1 failed" in printed


def test_a_command_that_hangs_is_ended(readme_commands) -> None:
    assert readme_commands.run("sleep 30", seconds=0.2) == "ran longer than 0.2 s"
