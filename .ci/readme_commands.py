"""Runs the commands of README.md and the guides, so that they cannot go stale.

Each fenced ```bash block runs as one script from the top of the checkout. A comment on a line
above the fence changes that:

    <!-- ci: skip REASON -->     is not run, and the reason is printed
    <!-- ci: COMMAND -->         runs COMMAND, a smaller form, in its place (several lines may)

    python .ci/readme_commands.py README.md docs/data.md [--done COMMAND]... [--seconds 900] [--list]
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?P<ticks>```+|~~~+)\s*(?P<language>\w*)")
_COMMENT = re.compile(r"<!--\s*ci:\s*(?P<text>.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it starts, what to run, or why it is skipped."""

    line: int
    script: str
    skip: str = ""


def blocks(text: str) -> list[Block]:
    """The ```bash blocks of a Markdown text, in order.

    Raises:
      ValueError: for a skip without a reason, a comment with no block under it, an open fence.
    """
    found: list[Block] = []
    lines = text.splitlines()
    note, note_line, index = "", 0, 0
    while index < len(lines):
        line = lines[index].strip()
        if line.startswith("<!--"):
            start = index
            while "-->" not in lines[index] and index + 1 < len(lines):
                index += 1
            comment = _COMMENT.match("\n".join(lines[start : index + 1]).strip())
            if comment:
                if note:
                    raise ValueError(f"line {note_line}: no bash block follows this ci comment")
                note, note_line = comment["text"], start + 1
        elif fence := _FENCE.match(line):
            start = index
            index += 1
            while index < len(lines) and lines[index].strip() != fence["ticks"]:
                index += 1
            if index == len(lines):
                raise ValueError(f"line {start + 1}: this fence is never closed")
            if fence["language"] == "bash":
                found.append(_block(start + 1, "\n".join(lines[start + 1 : index]), note))
                note = ""
        index += 1
    if note:
        raise ValueError(f"line {note_line}: no bash block follows this ci comment")
    return found


def _block(line: int, body: str, note: str) -> Block:
    if not note:
        return Block(line, body)
    word, _, reason = note.partition(" ")
    if word != "skip":
        return Block(line, note)
    if not reason:
        raise ValueError(f"line {line}: `ci: skip` needs a reason")
    return Block(line, body, skip=" ".join(reason.split()))


def without(script: str, done: list[str]) -> str:
    """The script less its comment lines and the commands that have run already."""
    kept = [line for line in script.splitlines() if line.strip() not in done]
    return "\n".join(line for line in kept if line.strip() and not line.strip().startswith("#"))


def run(script: str, seconds: float) -> str:
    """Runs a bash script. Returns what went wrong, or an empty string."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"ran longer than {seconds:g} s"
    return f"exit status {status}" if status else ""


def main() -> int:
    """Runs every block of every file, also after one has failed."""
    parser = argparse.ArgumentParser(description="Runs the commands of Markdown files.")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--done", action="append", default=[], help="a line that has run already")
    parser.add_argument("--seconds", type=float, default=900, help="limit for one block")
    parser.add_argument("--list", action="store_true", help="only print what would run")
    options = parser.parse_args()
    found: list[tuple[str, Block]] = []
    for file in options.files:
        try:
            found += [(file.name, block) for block in blocks(file.read_text(encoding="utf-8"))]
        except (OSError, ValueError) as error:
            print(f"error: {file}: {error}", file=sys.stderr)
            return 2
    failed = []
    for name, block in found:
        where = f"{name}:{block.line}"
        script = without(block.script, options.done)
        if block.skip:
            print(f"-- {where} skipped: {block.skip}", flush=True)
        elif not script:
            print(f"-- {where} has run already", flush=True)
        else:
            print(f"-- {where}\n" + "\n".join(f"   $ {line}" for line in script.splitlines()))
            sys.stdout.flush()
            start = time.monotonic()
            wrong = "" if options.list else run(script, options.seconds)
            print(f"-- {where} {wrong or 'ok'}, {time.monotonic() - start:.1f} s", flush=True)
            failed += [f"{where}: {wrong}"] if wrong else []
    skipped = sum(bool(block.skip) for _, block in found)
    names = ", ".join(file.name for file in options.files)
    print(f"-- {names}: {len(found)} blocks, {skipped} skipped, {len(failed)} failed")
    for line in failed:
        print(f"   {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
