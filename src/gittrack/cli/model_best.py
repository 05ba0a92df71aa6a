"""`git track model best`: the version or run that is the best, why each other one is not, and what
is made of the winner.

Turns words of the command line into an election, and its result into decisions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gittrack.cli import decisions, model_promote, verdict
from gittrack.cli.completing import metrics, model_stages, models, queries, run_names
from gittrack.cli.decisions import dry_option, reason_option
from gittrack.cli.main import open_place
from gittrack.cli.output import Command, json_option, page, page_data
from gittrack.cli.target import direction_options
from gittrack.errors import GittrackError, UsageError

if TYPE_CHECKING:
    from gittrack.cli.target import Target
    from gittrack.election import Candidate, Election, Reference
    from gittrack.registrar import Outcome
    from gittrack.registry import Model
    from gittrack.search import Question, Search
    from gittrack.semver import Bump
    from gittrack.whereabouts import Place

__all__ = ["best"]

_FETCH = "there are no runs here: `git fetch origin 'refs/runs/*:refs/runs/*'` brings them."
_OTHER_WORDS = 1000
"""As many characters have a tag's other words at most: names, a version, the tag before."""


class _Asked(NamedTuple):
    """What the command line says, beside the name of the model."""

    metric: str
    lowest: bool | None
    allow: tuple[str, ...]
    among: str | None
    like: str | None
    any_data: bool
    stage: str | None
    require: tuple[str, ...]
    archive_existing: bool
    reason: str
    bump: Bump | None
    artifact: str | None
    no_artifact: bool
    dry_run: bool


class _Made(NamedTuple):
    """What was decided about the winner; None where nothing was asked for, or it was refused."""

    registered: Outcome | None = None
    promoted: Outcome | None = None
    refused: GittrackError | None = None


def _options(command: Command) -> Command:
    """The options that say who may win."""
    for option in reversed(
        (
            click.option("--metric", metavar="KEY", required=True, shell_complete=metrics,
                         help="What they are judged by: a metric, or another number."),
            partial(direction_options, low=("--min", "--lowest"), high=("--max", "--highest")),
            click.option("--allow", metavar="RANGE", multiple=True,
                         help="Only versions in a range, such as '<=1'; several: in all of them."),
            click.option("--among", metavar="QUERY", shell_complete=queries,
                         help="Choose among all runs that match; the winner is registered."),
            click.option("--like", metavar="RUN", shell_complete=run_names,
                         help="Only what was measured on the data of this run."),
            click.option("--any-data", is_flag=True, help="Compare whatever data it was."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _consequences(command: Command) -> Command:
    """The options that say what becomes of the winner."""
    for option in reversed(
        (
            click.option("--promote", "stage", metavar="STAGE", shell_complete=model_stages,
                         help="Give a stage to the winner, by the rules of the stage."),
            click.option("--require", metavar="QUERY", multiple=True,
                         help="With --promote: only if the winner's run answers this query."),
            click.option("--archive-existing/--demote-existing", default=False,
                         help="Archive who held the stage, or only take it away (the default)."),
            reason_option,
            click.option("--bump", type=click.Choice(["major", "minor", "patch"]),
                         help="With --among: which number goes up; patch unless said."),
            click.option("--artifact", metavar="PATH",
                         help="With --among: which of the winner's artifacts is the model."),
            click.option("--no-artifact", is_flag=True,
                         help="With --among: register the run itself, of which nothing was kept."),
            dry_option,
            json_option,
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("name", shell_complete=models)
@_options
@_consequences
@click.pass_context
def best(ctx: click.Context, /, name: str, as_json: bool, **given: Any) -> None:
    """Choose the best version of a model, or the best run.

    Candidates are the versions that were neither taken back nor archived, or with --among all
    finished runs that match; each one that does not win is shown with the reason. The highest value
    wins, unless --min or the setting track.lowest says otherwise; of equal ones the newest.

    Values compare only where they were measured on the same data: that of --like, else of the
    version that holds the stage of --promote, else of the newest candidate. With --promote the
    rules of the stage decide who may win, and its conditions whether the winner gets it. What a
    rollback took that stage from cannot win until somebody gives it the stage again.

    \b
    $ git track model best churn --metric f1
    $ git track model best churn --metric f1 --allow '<=1' --promote production
    $ git track model best churn --metric loss --min --among 'branch = "main"' --promote staging -n
    """
    from gittrack.search import open_search

    asked = _checked(_Asked(**given))
    place = open_place(ctx)
    with open_search(place) as search:
        model = _model(place, name, asked)
        goal, found = _held(place, search, model, asked)
    made = _decided(place, name, found, asked)
    if as_json:
        page_data(place, _document(name, goal, found, made, asked))
    else:
        page(place, verdict.drawn(goal, found) + _told(found, made, asked))
    _share(place, made, asked)
    if made.refused is not None:
        raise made.refused
    if found.winner is None:
        raise _nobody(name, goal, found)


def _checked(asked: _Asked) -> _Asked:
    """Make sure that the options go together, and that names and ranges can be some.

    Raises:
        UsageError, BadName: they do not.
    """
    from gittrack import semver, tagging

    if asked.like is not None and asked.any_data:
        raise UsageError("--like and --any-data do not go together")
    if asked.artifact is not None and asked.no_artifact:
        raise UsageError("--artifact and --no-artifact do not go together")
    of_promote: dict[str, object] = {
        "require": asked.require,
        "reason": asked.reason,
        "archive-existing": asked.archive_existing,
    }
    for option, given in of_promote.items():
        if given and asked.stage is None:
            raise UsageError(f"--{option} goes with --promote STAGE")
    of_among: dict[str, object] = {
        "bump": asked.bump,
        "artifact": asked.artifact,
        "no-artifact": asked.no_artifact,
    }
    for option, given in of_among.items():
        if given and asked.among is None:
            raise UsageError(f"--{option} goes with --among QUERY: versions are registered already")
    for text in asked.allow:
        semver.check_range(text)
    if asked.stage is not None:
        tagging.check_stage(asked.stage)
    return asked


def _model(place: Place, name: str, asked: _Asked) -> Model | None:
    """The model; None where the winner among runs will be its first version.

    Raises:
        ModelNotFound, BadName: there is none, and none can come about.
    """
    from gittrack import registry, tagging

    if asked.among is None:
        return decisions.model_named(place, name)
    found = registry.read(place).models.get(name)
    if found is None:
        tagging.check_new_model(name)
    return found


def _held(
    place: Place, search: Search, model: Model | None, asked: _Asked
) -> tuple[Target, Election]:
    """What they were judged by, and who won."""
    from gittrack import election
    from gittrack.cli import target as targets
    from gittrack.search import Question

    question: Question | None = None
    if asked.among is not None:
        question = Question(query=asked.among, archived=False)
        standing = election.of_runs(search, question, model, bump=asked.bump)
        if not standing:
            here = search.index.total > 0
            raise GittrackError("no run matches", hint=None if here else _FETCH)
    else:
        assert model is not None
        standing = election.of_versions(place, search, model)
    known = election.vocabulary(search, standing)
    goal = targets.ask(place, known, asked.metric, asked.lowest)
    limits, refused = election.rules(place, asked.stage, model)
    found = election.elect(
        election.measured(place, search, standing, goal.key, known, question),
        title=goal.title,
        lowest=goal.lowest,
        limits=[*(election.Limit(text) for text in asked.allow), *limits],
        refused=refused,
        reference=_reference(place, search, model, asked),
        any_data=asked.any_data,
    )
    if question is not None:
        targets.warn(search, question)
    return goal, found


def _reference(
    place: Place, search: Search, model: Model | None, asked: _Asked
) -> Reference | None:
    """Whose data the others must have; None where the newest of them decides."""
    from gittrack import election

    if asked.any_data:
        return None
    if asked.like is not None:
        from gittrack import commits, revisions

        repo = place.repo
        ref = revisions.resolve(repo, asked.like)
        return election.Reference(ref.name, commits.summarize(commits.load(repo, ref)).data)
    held = model.holding(asked.stage) if model is not None and asked.stage is not None else None
    holder = model.version(held.version) if model is not None and held is not None else None
    return None if holder is None else election.reference(place, search, [holder])


# -- what becomes of the winner -------------------------------------------------------------------


def _decided(place: Place, name: str, found: Election, asked: _Asked) -> _Made:
    """Register and promote the winner, as far as that is asked for."""
    winner = found.winner
    if winner is None:
        return _Made()
    registered = None
    try:
        if winner.version is None:
            _check_conditions(place, winner, asked)
        registered = _registered(place, name, winner, asked)
        return _Made(registered, _promoted(place, winner, registered, asked))
    except GittrackError as error:
        # Who won, and why, is worth knowing all the same.
        return _Made(registered, refused=error)


def _check_conditions(place: Place, winner: Candidate, asked: _Asked) -> None:
    """Ask the gate before a version is made that could not have the stage.

    Raises:
        StageRefused: a condition is not met.
        UsageError: the reason is too long for a tag.
    """
    if asked.stage is None or winner.run is None:
        return
    from gittrack import gate, inscriptions, policy

    conditions = [*policy.read(place).rule(asked.stage).require, *asked.require]
    called = winner.version and winner.version.name
    evidence = gate.evidence(place, winner.run.commit or "", conditions, called=called)
    said = (("Reason", asked.reason), ("Require", "; ".join(evidence)))
    inscriptions.compose("x" * _OTHER_WORDS, "", said)


def _registered(place: Place, name: str, winner: Candidate, asked: _Asked) -> Outcome | None:
    """Make the winner a version, unless it is one and no artifact was named."""
    from gittrack import registrar
    from gittrack.refs import RunRef

    run = winner.run
    if run is None or (winner.version is not None and asked.artifact is None):
        return None
    return registrar.register(
        place.repo,
        RunRef(run.experiment, run.name, run.commit or ""),
        name,
        artifact=asked.artifact,
        allow_none=asked.no_artifact,
        bump=asked.bump,
        dry_run=asked.dry_run,
    )


def _promoted(
    place: Place, winner: Candidate, registered: Outcome | None, asked: _Asked
) -> Outcome | None:
    from gittrack import registrar

    version = winner.version if registered is None else registered.version
    if asked.stage is None or version is None:
        return None
    if asked.dry_run and winner.version is None:
        # Its tag is not there, so the registrar would not find it.
        assert registered is not None
        model = registered.known.models[version.model]
        held = model.holding(asked.stage)
        former = None if held is None else model.version(held.version)
        return registrar.Outcome("done", version, (), former, asked.stage, registered.known)
    return registrar.promote(
        place.repo,
        version,
        asked.stage,
        reason=asked.reason,
        require=asked.require,
        archive_existing=asked.archive_existing,
        dry_run=asked.dry_run,
    )


def _share(place: Place, made: _Made, asked: _Asked) -> None:
    outcomes = [one for one in (made.registered, made.promoted) if one is not None and one.tags]
    decided = [one.tags[0] for one in outcomes]
    others = [tag for one in outcomes for tag in one.tags[1:]]
    if decided and not asked.dry_run:
        decisions.share(place, [*decided, *others], len(decided))


def _nobody(name: str, goal: Target, found: Election) -> GittrackError:
    from gittrack import election

    reasons = [one.reason or "" for one in found.others]
    hint = None
    if any(reason.startswith(election.OTHER_DATA) for reason in reasons):
        hint = "--like RUN names the data to compare on; --any-data compares whatever data it was."
    if not reasons:
        return GittrackError(f"nobody stands for '{name}'", hint="no version, or run, matches.")
    return GittrackError(f"none of {len(reasons)} can be the best of '{name}' by {goal.title}",
                         hint=hint)  # fmt: skip


# -- how it looks ---------------------------------------------------------------------------------


def _told(found: Election, made: _Made, asked: _Asked) -> str:
    """What was decided about the winner, a line each."""
    from gittrack.quoting import one_line

    winner, lines = found.winner, []
    if winner is None or winner.run is None:
        return ""
    if made.registered is not None and made.registered.version is not None:
        would = "would be" if asked.dry_run and made.registered.tags else "is"
        lines.append(f"{made.registered.version.name} {would} {winner.run.name}")
    if made.promoted is not None:
        lines.append(model_promote.promoted(made.promoted, asked.stage or "", asked.dry_run))
    return "".join(f"{one_line(line)}\n" for line in lines)


def _document(name: str, goal: Target, found: Election, made: _Made, asked: _Asked) -> str:
    from gittrack.exports import as_json

    return as_json(
        {
            "model": name,
            **verdict.fields(goal, found),
            "register": _outcome(made.registered, asked),
            "promote": _outcome(made.promoted, asked),
            "refused": None if made.refused is None else made.refused.message,
        }
    )


def _outcome(outcome: Outcome | None, asked: _Asked) -> Any:
    return None if outcome is None else decisions.fields(outcome, asked.dry_run)
