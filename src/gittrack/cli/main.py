"""`git track`: the table of verbs, the one error handler, the way to an open repository.

A verb's module is imported when the verb is used and not before. Knows nothing of what the verbs
do.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

_COLLECTS = gc.isenabled()
# Loading makes many objects and no garbage; to look for some is a fifth of a listing's time.
gc.disable()

import click  # noqa: E402

from gittrack import __version__  # noqa: E402
from gittrack.cli.output import wants_color  # noqa: E402
from gittrack.errors import GittrackError, NotARepository, UsageError  # noqa: E402

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from gittrack.git import Repo
    from gittrack.whereabouts import Place

__all__ = ["VERBS", "Verb", "Verbs", "circumstance", "cli", "main", "open_place", "open_repo"]

OURS = 70
"""The exit code for a bug of ours (EX_SOFTWARE in sysexits.h)."""

_OBJECTS = 100_000
"""So many new ones make Python look for garbage, which 700 do elsewhere."""

_STDOUT = "standard output"
_OUR_FAULT = (None, errno.EBADF, errno.EINVAL, errno.EFAULT, errno.ENOTTY, errno.ESPIPE)
_LIMITS = {
    errno.EMFILE: ("too many open files", "`ulimit -n` shows and raises the limit."),
    errno.ENFILE: ("too many open files on this machine", None),
    errno.EAGAIN: ("no more processes can be started", "`ulimit -u` shows the limit."),
}


class Verb(NamedTuple):
    """Where a verb's command is, the first line of its help, under which heading it is listed."""

    module: str
    attribute: str
    line: str
    section: str = "Verbs"


VERBS: dict[str, Verb] = {
    "init": Verb(
        "init", "init", "Set up this repository for gittrack and DVC; running it again is safe."
    ),
    "run": Verb("run", "run", "Run a command and record it."),
    "ls": Verb("ls", "ls", "List runs, newest first."),
    "show": Verb("show", "show", "Show everything that is known of a run."),
    "diff": Verb("diff", "diff", "Show what differs between runs."),
    "plot": Verb("plot", "plot", "Draw the curves of metrics."),
    "sql": Verb("sql", "sql", "Run a statement of SQL over all runs; it can only read."),
    "export": Verb("export", "export", "Write runs into files that other engines read."),
    "best": Verb("best", "best", "Show the run that has the best value of a metric."),
    "compare": Verb("compare", "compare", "Show which params matter for a metric."),
    "watch": Verb("watch", "watch", "Watch running runs: a table that is drawn anew each second."),
    "logs": Verb("logs", "logs", "Print what a run wrote to the terminal."),
    "get": Verb("get", "get", "Write the artifacts of a run into a directory."),
    "send": Verb("send", "send", "Send what runs kept to the data remote."),
    "checkout": Verb("checkout", "checkout", "Check the code of a run out, beside your own."),
    "lineage": Verb("lineage", "lineage", "Show what a run or a file came from, or led to."),
    "model": Verb("model", "model", "Name versions of models, and say where they are used."),
    "log-param": Verb("log", "log_param", "Record params of the run that a script belongs to."),
    "log-metric": Verb("log", "log_metric", "Record metrics of the run that a script belongs to."),
    "log-tag": Verb("log", "log_tag", "Set tags of the run that a script belongs to."),
    "log-artifact": Verb(
        "log", "log_artifact", "Keep a file as an artifact of the run that a script belongs to."
    ),
    "tag": Verb("annotate", "tag", "Set, remove or print the tags of a run."),
    "note": Verb("annotate", "note", "Add a note to a run."),
    "rename": Verb("annotate", "rename", "Give a run a title."),
    "archive": Verb("annotate", "archive", "Take runs out of the usual listing."),
    "rm": Verb("annotate", "rm", "Mark runs as deleted."),
    "restore": Verb("annotate", "restore", "Bring deleted runs back."),
    "gc": Verb("gc", "gc", "Remove what nothing needs any more."),
    "doctor": Verb("doctor", "doctor", "Say what is wrong or risky here, and what mends it."),
    "completion": Verb("completion", "completion", "Print the completion script of a shell."),
}


class Verbs(click.Group):
    """A group that loads the module of a verb only when the verb is used; `table` has them all.

    `others` are further names of some, which no list shows.
    """

    def __init__(
        self,
        *arguments: Any,
        table: Mapping[str, Verb],
        others: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.table = table
        self.others = others or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a verb, its module loaded; None if there is no such verb."""
        verb = self.table.get(self.others.get(name, name))
        if verb is None:
            return None
        found = getattr(import_module(f"gittrack.cli.{verb.module}"), verb.attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the words begin with, and the words behind it.

        Raises:
            UsageError: it is none; the nearest one is in the hint.
        """
        name = args[0]
        if name not in self.table and name not in self.others and not ctx.resilient_parsing:
            where = ctx.command_path
            raise UsageError(
                f"'{name}' is no verb of {where}", hint=_near_verb(name, where, self.table)
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs, section by section."""
        for section in dict.fromkeys(verb.section for verb in self.table.values()):
            there = [(n, verb.line) for n, verb in self.table.items() if verb.section == section]
            with formatter.section(section):
                formatter.write_dl(there)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs that begin so, no module loaded."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=verb.line)
            for name, verb in self.table.items()
            if name.startswith(incomplete)
        ]


def _near_verb(name: str, where: str, table: Mapping[str, Verb]) -> str:
    from difflib import get_close_matches

    lists = f"'{where} -h' lists the verbs."
    found = get_close_matches(name, table, n=1)
    return f"did you mean '{where} {found[0]}'? {lists}" if found else lists


@click.group(
    cls=Verbs,
    table=VERBS,
    others={"registry": "model"},
    name="git track",
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="VERB ...",
    epilog="'git track VERB -h' explains a verb, 'git help track' opens the manual.",
)
@click.option(
    "-C",
    "directories",
    metavar="DIR",
    multiple=True,
    help="Run as if started in DIR; a second one is taken from the first, as in git.",
)
@click.version_option(__version__, message="gittrack %(version)s")
@click.pass_context
def cli(ctx: click.Context, directories: Sequence[str]) -> None:
    """Track experiments in the Git repository that they belong to.

    \b
    $ git track run -- python train.py --lr 0.1
    $ git track ls
    $ git track diff latest~1 latest
    """
    for directory in directories:
        try:
            os.chdir(directory)
        except OSError as error:
            raise UsageError(f"cannot change to '{directory}': {error.strerror}") from error
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def open_place(ctx: click.Context) -> Place:
    """Where the repository is, looked for once; runs that died unrecorded are recorded first.

    Cheaper than `open_repo` by what libgit2 costs to load.

    Raises:
        RepositoryError: there is none, or it cannot be used.
    """
    from gittrack import whereabouts

    root = ctx.find_root()
    if not isinstance(root.obj, whereabouts.Place):
        _check_directory()
        root.obj = whereabouts.find()
        _recover(root.obj)
    return root.obj


def open_repo(ctx: click.Context) -> Repo:
    """The repository here, opened once per command; otherwise as `open_place`.

    Raises:
        RepositoryError: there is none, or it cannot be used.
    """
    return open_place(ctx).repo


def _check_directory() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise NotARepository(
            "the current directory does not exist any more", hint="`cd` to one that does."
        ) from error


def _recover(place: Place) -> None:
    try:
        with os.scandir(os.path.join(place.state, "live")) as entries:
            waiting = next(entries, None) is not None
    except OSError:
        return
    if not waiting:
        return
    from gittrack import recovery

    try:
        recovery.recover(place.repo)
    except GittrackError as error:
        # What was asked for does not depend on it, and the next command tries again.
        _complain("warning", error.message, error.hint)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and end the process with its exit code."""
    _prepare_streams()
    if os.name == "nt":
        _complain("error", "gittrack does not run on native Windows", "WSL works: aka.ms/wsl.")
        sys.exit(1)
    if argv is not None:
        sys.exit(_guarded(list(argv)))
    gc.set_threshold(_OBJECTS)
    code = _guarded(sys.argv[1:])
    # The process is ours, and at its end; Python would look through everything once more.
    gc.freeze()
    sys.exit(code)


def _guarded(argv: list[str]) -> int:
    """Run `argv`; every way to fail becomes one or two lines and an exit code, here and only here.

    The handler is as broad as can be because nothing stands above it.
    """
    try:
        code = _invoke(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except GittrackError as error:
        _complain("error", error.message, error.hint)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _complain("error", *_usage(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _discard_output()
        return 130
    except BrokenPipeError:
        _die_of_sigpipe()
    except OSError as error:
        known = circumstance(error)
        if known is None:
            return _bug(error)
        if error.filename == _STDOUT:
            _discard_output()
        _complain("error", known.message, known.hint)
        return known.exit_code
    except Exception as error:
        return _bug(error)
    return OURS


def _invoke(argv: list[str]) -> int:
    instruction = os.environ.get("_GIT_TRACK_COMPLETE")
    if instruction:
        from gittrack.cli.completion import answer

        return answer(cli, instruction)
    with cli.make_context("git track", argv) as ctx:
        cli.invoke(ctx)
    return 0


def _usage(error: click.ClickException) -> tuple[str, str | None]:
    """Click's words in our style."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "git track"
    hint = f"'{path} -h' shows its usage."
    if isinstance(error, click.NoSuchOption):
        near = f"did you mean '{error.possibilities[0]}'? " if error.possibilities else ""
        return f"'{path}' has no option '{error.option_name}'", near + hint
    words = error.format_message().strip().removesuffix(".")
    return words[:1].lower() + words[1:], hint


def circumstance(error: OSError) -> GittrackError | None:
    """What the system refused, as an error for the user; None where the mistake must be ours."""
    if error.errno in _OUR_FAULT:
        return None
    words = error.strerror or os.strerror(error.errno or 0)
    if error.filename == _STDOUT:
        return GittrackError(f"cannot write to standard output: {words}")
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    message, hint = _LIMITS.get(error.errno or 0, (where + words, None))
    return GittrackError(message, hint=hint)


def _bug(error: Exception) -> int:
    if os.environ.get("GITTRACK_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    words = f"{type(error).__name__}: {error}".strip().split("\n")[0][:500]
    _complain(
        "error",
        f"a bug in gittrack: {words}",
        "please report it with what it says under GITTRACK_TRACEBACK=1.",
    )
    return OURS


def _complain(kind: str, message: str, hint: str | None) -> None:
    from gittrack.quoting import printable, shortened

    if sys.stderr is None:
        return
    color = wants_color(sys.stderr)
    lines = [(kind, "\x1b[1;31m" if kind == "error" else "\x1b[1;33m", message)]
    if hint:
        lines.append(("hint", "\x1b[33m", hint))
    try:
        # Both may end in one pipe: what was answered before comes before.
        if sys.stdout is not None:
            sys.stdout.flush()
        for word, start, text in lines:
            label = f"{start}{word}:\x1b[m" if color else f"{word}:"
            sys.stderr.write(f"{label} {printable(shortened(text))}\n")
        sys.stderr.flush()
    except OSError:
        pass


class _Stdout(io.FileIO):
    """Standard output; its errors say whose they are, which Python's own do not."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, _STDOUT) from None


def _prepare_streams() -> None:
    """Make 0, 1 and 2 usable, as Git does (sanitize_stdfds): a closed one becomes /dev/null.

    Otherwise the next file that is opened gets the number, and what we print goes into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Stdout(1, "w", closefd=False)),
            encoding=sys.stdout.encoding,
            line_buffering=sys.stdout.isatty(),
        )
    for stream in (sys.stdout, sys.stderr):
        # A locale or PYTHONIOENCODING without the character must not cost the answer.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Throw away what is still buffered, which Python would try to write again at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError:
        pass


def _die_of_sigpipe() -> NoReturn:
    """End as Git does when the reader of a pipe has gone: silently, of SIGPIPE."""
    import signal

    _discard_output()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(141)


if _COLLECTS:
    # What is loaded stays to the end, and need not be looked through.
    gc.freeze()
    gc.enable()
