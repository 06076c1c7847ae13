"""How every verb starts and ends: quiet libraries, typed flags, one line for an error.

A verb is an absl app that ends like this::

    if __name__ == "__main__":
        console.run(main, positionals=("CONFIG",))

It lives in this room because every verb may import it; it loads nothing but absl. Exit statuses are those
of `data/exits.py`.
"""

import difflib
import errno
import logging as python_logging
import os
import re
import select
import shutil
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NoReturn

from absl import app, flags, logging

from data import devices, exits

ROOMS = frozenset({"model", "data", "sharding", "train", "experiments"})

_TRACEBACK = flags.DEFINE_bool("traceback", False, "show where an error arose, not only what it is")

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # oneDNN announces itself before TensorFlow reads its log level; tf.data needs none of it.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "GRPC_VERBOSITY": "ERROR",
    "GLOG_minloglevel": "3",
}
_TIRESOME = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning)
# What people write on purpose. Any other type is a surprise, and its name is part of the news.
_EXPLAINED = (ValueError, OSError, RuntimeError, ImportError)
_SURPRISES = (NotImplementedError, RecursionError, UnicodeError)
_LONGEST = 2000


class UsageError(ValueError):
    """The person asked for something that does not exist: one line, exit status 2."""


def quiet() -> None:
    """Silences the chatter of libraries. Call it before the heavy imports.

    A variable that is set already is left alone, and so are warnings when Python was told what to
    do with them (`-W`, `PYTHONWARNINGS`).
    """
    for name, value in (_QUIET | devices.settings()).items():
        os.environ.setdefault(name, value)
    if devices.simulated() > 1:
        devices.begin_collectives_in_order()
    if not sys.warnoptions:
        for category in _TIRESOME:
            warnings.simplefilter("ignore", category)
        # Programs compiled ahead of time cannot be read back from the cache; they are recompiled.
        warnings.filterwarnings("ignore", message="Error reading persistent compilation cache")
    for name in ("tensorflow", "matplotlib"):
        python_logging.getLogger(name).setLevel(python_logging.ERROR)
    logging.set_verbosity(logging.ERROR)


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean X?"` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Gives the system errors of its block, which often lack one, the file they speak of."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


def run(main: Callable[[list[str]], int | None], *, positionals: Sequence[str] = (), interrupted: str = "") -> NoReturn:
    """Parses the flags, calls `main(argv)` and exits.

    Args:
      main: takes the program's name and the positional arguments, as absl's; returns an exit
        status or nothing.
      positionals: names for `--help`, in order. `"[NAME]"` may be left out, and a last `"NAME..."`
        or `"[NAME...]"` takes all that are left.
      interrupted: what Ctrl-C leaves behind or how to go on, said after "interrupted; ".
    """
    app.define_help_flags()
    for name, short in (("help", "h"), ("helpshort", None)):
        flags.DEFINE_flag(_Help(name, short, positionals))
    try:
        app.run(main, flags_parser=lambda argv: _parse(argv, positionals))
    except SystemExit as end:
        _leave(end.code)
    except KeyboardInterrupt:
        print(f"\ninterrupted; {interrupted}".rstrip("; "), file=sys.stderr)
        _leave(exits.INTERRUPTED.status)
    except exits.Ended as end:
        print(f"{end.way.name}; {end}", file=sys.stderr)
        _leave(end.way.status)
    except BaseException as error:
        _leave(_report(error))
    _leave(0)


class _Help(flags.BooleanFlag):
    """absl's `--help` lists every library's flags and exits with status 1; this one does not."""

    def __init__(self, name: str, short: str | None, positionals: Sequence[str]) -> None:
        super().__init__(name, False, "show this text", short_name=short, allow_override=True)
        self._positionals = positionals

    def parse(self, argument: str | bool | None) -> None:
        super().parse(argument)
        if self.value:
            print(_help(self._positionals))
            raise SystemExit(0)


def _parse(argv: Sequence[str], positionals: Sequence[str]) -> list[str]:
    """Flags anywhere among the positionals; every mistake becomes a UsageError."""
    flags.FLAGS.set_gnu_getopt(True)
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        known = [flag.name for flag in _visible()] + ["help"]
        known += [f"no{flag.name}" for flag in _visible() if flag.boolean]
        near = nearest(name, known).replace("mean ", "mean --")
        raise UsageError(f"unknown flag --{name}{near or '; --help lists the flags'}") from error
    except flags.Error as error:
        raise UsageError(_flag_sentence(error)) from error
    if not flags.FLAGS["verbosity"].present:
        # absl.app is about to raise it to INFO, unless somebody asked for something.
        flags.FLAGS["verbosity"].using_default_value = False
        logging.set_verbosity(logging.ERROR)
    _check_positionals(rest[1:], positionals)
    return rest


def _check_positionals(given: Sequence[str], names: Sequence[str]) -> None:
    required = [name for name in names if not name.startswith("[")]
    if len(given) < len(required):
        raise UsageError(f"missing {required[len(given)]}; usage: {_usage(names)}")
    if len(given) > len(names) and not any("..." in name for name in names):
        extra = given[len(names)]
        near = nearest(extra.lstrip("-"), [flag.name for flag in _visible()])
        raise UsageError(f"unexpected argument {extra!r}{near.replace('mean ', 'mean --')}")


def _flag_sentence(error: flags.Error) -> str:
    text = _fold(error)
    found = re.match(r"flag --(?P<name>[^=\s]+)=(?P<value>.*?): (?P<why>.*)$", text)
    if found is None:
        missing = re.match(r"Missing value for flag --(\S+)", text)
        return f"--{missing[1]} needs a value" if missing else text
    name, value, why = found["name"], found["value"], found["why"]
    if "must have a value other than None" in why:
        return f"--{name} is required"
    flag = flags.FLAGS[name]
    if isinstance(flag.parser, flags.EnumParser):
        choices = flag.parser.enum_values
        return f"--{name} is {value!r}; it is one of {', '.join(choices)}{nearest(value, choices)}"
    if re.search(r"invalid literal|could not convert|Non-boolean", why):
        wanted = flag.parser.syntactic_help or "true or false"
        return f"--{name} is {value!r}; it must be {wanted}"
    return f"--{name} is {value!r}: {why}"


def _visible() -> list[flags.Flag]:
    """The flags of the verb and of the rooms it uses, the verb's own first."""
    by_module = flags.FLAGS.flags_by_module_dict()
    own = [sys.argv[0], "__main__"]
    rooms = [name for name in by_module if name.split(".")[0] in ROOMS and name != __name__]
    found = [flag for name in (*own, *rooms) for flag in by_module.get(name, [])]
    return list(dict.fromkeys([*found, flags.FLAGS["traceback"]]))


def _usage(positionals: Sequence[str]) -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    verb = f"python -m {spec.name.removesuffix('.__main__')}" if spec else f"python {sys.argv[0]}"
    return " ".join([verb, *positionals, "[flags]"])


def _help(positionals: Sequence[str]) -> str:
    width = max(60, min(100, shutil.get_terminal_size().columns))
    about = (sys.modules["__main__"].__doc__ or "").strip()
    lines = [about, ""] if about else []
    lines += [f"usage: {_usage(positionals)}", "", "flags:"]
    for flag in _visible():
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
        about = flag.help or ""
        if isinstance(flag.parser, flags.EnumParser):
            choices = "|".join(flag.parser.enum_values)
            name, about = f"{name} {choices}", about.removeprefix(f"<{choices}>: ")
        elif not flag.boolean:
            name += f" {flag.flag_type().upper().replace(' ', '_')}"
        if flag.default is not None:
            shown = str(flag.default_as_str).strip("'")
            about += f" (default: {shown})" if shown else " (default: empty)"
        text = " ".join(about.split())
        lines.append(f"  {name}")
        lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += ["  --help", "      show this text"]
    return "\n".join(lines)


def _report(error: BaseException) -> int:
    """Says in one line what went wrong. Returns the exit status."""
    if isinstance(error, BrokenPipeError) and _reader_gone(sys.stdout):
        return _hang_up()
    # Parsing may have failed before the flag had a value.
    shown = flags.FLAGS.is_parsed() and _TRACEBACK.value
    if shown:
        traceback.print_exception(error)
    if isinstance(error, UsageError | app.UsageError):
        print(f"error: {_fold(error)}", file=sys.stderr)
        return exits.USAGE.status
    hint = "" if shown else " (--traceback shows where)"
    print(f"error: {_sentence(error)}{hint}", file=sys.stderr)
    if not shown:
        # Of writes made side by side the first to fail is told above; asyncio would log each other one after it.
        python_logging.getLogger("asyncio").setLevel(python_logging.CRITICAL)
    return exits.FAILED.status


def _sentence(error: BaseException) -> str:
    text = _fold(error)
    if isinstance(error, OSError) and error.errno is not None:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        where = " -> ".join(names)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = "disk quota exceeded" if error.errno == errno.EDQUOT else "no space left"
            return f"{what} on device while writing {where}".removesuffix(" while writing ")
        why = str(error.strerror or os.strerror(error.errno))
        return f"{where}: {why[:1].lower()}{why[1:]}" if where else why[:1].lower() + why[1:]
    kind = type(error).__name__
    if not text:
        return f"{kind} without a message"
    if not isinstance(error, _EXPLAINED) or isinstance(error, _SURPRISES):
        return f"{kind}: {text}"
    return text


def _fold(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _reader_gone(stream: IO[str]) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False


def _hang_up() -> int:
    # Without this the interpreter flushes once more on its way out, and complains.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return exits.UNREAD.status


def _leave(status: int | str | None) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _hang_up()
    except OSError as error:
        print(f"error: standard output: {_sentence(error)}", file=sys.stderr)
        status = status or exits.FAILED.status
    raise SystemExit(status)
