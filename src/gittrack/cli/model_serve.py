"""`git track model serve`: a version of a model behind MLflow's server."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from gittrack.cli.completing import versions
from gittrack.cli.main import open_place
from gittrack.cli.output import say

if TYPE_CHECKING:
    from gittrack.refs import RunRef
    from gittrack.registry import Version
    from gittrack.whereabouts import Place

__all__ = ["serve"]


@click.command()
@click.argument("selector", metavar="NAME@STAGE", shell_complete=versions)
@click.argument("others", metavar="[-- MLFLOW-OPTION...]", nargs=-1, type=click.UNPROCESSED)
@click.option("-p", "--port", metavar="N", type=click.IntRange(0, 65535), help="Listen on port N.")
@click.option("--host", metavar="ADDRESS", help="Listen on ADDRESS; MLflow's own is local.")
@click.option("--remote", metavar="NAME", help="Fetch from this data remote, not the default one.")
@click.pass_context
def serve(
    ctx: click.Context,
    selector: str,
    others: Sequence[str],
    port: int | None,
    host: str | None,
    remote: str | None,
) -> None:
    """Serve a version of a model with MLflow.

    The artifact must be a directory that MLflow saved, with a file MLmodel in it. What is not in
    the cache is fetched, and `mlflow models serve` takes over, in this process; what stands behind
    -- goes to it. MLflow is found on PATH, or where gittrack is installed. Loading a model runs
    what is in it: serve what you would run.

    \b
    $ git track model serve churn@production
    $ git track model serve churn@v1.2.0 --port 5001 -- --env-manager local
    """
    from gittrack import registry, retrieve
    from gittrack.cli.progress import bar

    place = open_place(ctx)
    known = registry.read(place)
    version = registry.find_version(known, selector)
    ref, path = _packaged(place, version, remote)
    command = _mlflow()
    if known.models[version.model].deprecated is not None:
        say(f"warning: the model '{version.model}' is deprecated")
    if not version.is_live:
        say(f"warning: {version.name} was taken back")
    with bar() as meter:
        directory = retrieve.load(place.repo, ref, path, remote=remote, meter=meter)
    words = [command, "models", "serve", "-m", os.fspath(directory)]
    words += [] if port is None else ["--port", str(port)]
    words += [] if host is None else ["--host", host]
    _become([*words, *others])


def _packaged(place: Place, version: Version, remote: str | None) -> tuple[RunRef, str]:
    """The run of a version, and the path of its artifact, which MLflow can serve.

    Raises:
        BadPath: it has no artifact, or none in MLflow's form.
        RunNotFound: it is no run.
        DataMissing, DataFailed, DataDamaged, BadFile, BrokenRecord: it cannot be had or read.
    """
    from gittrack import mlmodel, provenance
    from gittrack.errors import BadPath
    from gittrack.quoting import one_line

    ref = provenance.run(place, version)
    path = version.artifact
    if path is None:
        raise BadPath(f"{version.name} has no artifact", path="")
    if mlmodel.read(place.repo, ref, path, fetch=True, remote=remote) is None:
        raise BadPath(
            f"'{one_line(path)}' of {version.name} has no file MLmodel: MLflow cannot serve it",
            path=path,
            hint="MLflow serves the directory that `mlflow.sklearn.save_model` and the like "
            f"write; `git track model path {version.name}` prints where any other one is.",
        )
    return ref, path


def _mlflow() -> str:
    """The program of MLflow.

    Not `python -m mlflow`, which would run a file of that name in whatever directory this is.

    Raises:
        LibraryMissing: it is not installed.
    """
    from shutil import which

    from gittrack.errors import LibraryMissing

    found = which("mlflow") or which("mlflow", path=os.path.dirname(sys.executable))
    if found is None:
        raise LibraryMissing(
            "MLflow, which serves models, is not installed",
            library="mlflow",
            hint="`pip install mlflow` installs it.",
        )
    return os.path.abspath(found)


def _become(words: list[str]) -> NoReturn:
    """Become another program.

    Raises:
        CommandNotStarted: it cannot be executed.
    """
    from gittrack.errors import CommandNotStarted

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(words[0], words)
    except OSError as error:
        raise CommandNotStarted(
            f"'{words[0]}' cannot be started: {error.strerror}", exit_code=126
        ) from error
