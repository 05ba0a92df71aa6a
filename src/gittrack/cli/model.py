"""`git track model`: the table of the registry's verbs, and what several of them share.

A verb's module is imported when the verb is used and not before. Knows nothing of what they do.
"""

from __future__ import annotations

import click

from gittrack.cli.main import Verb, Verbs

__all__ = ["SUBVERBS", "model"]

_DECIDE = "Decide"
_LOOK = "Look"
_USE = "Use"

SUBVERBS: dict[str, Verb] = {
    "ls": Verb(
        "model_ls",
        "ls",
        "List models: the latest version of each, and who holds which stage.",
        _LOOK,
    ),
    "show": Verb(
        "model_show", "show", "Show a model and its versions, or everything of one version.", _LOOK
    ),
    "history": Verb(
        "model_history",
        "history",
        "Show what was decided about a model, or about all, the latest first.",
        _LOOK,
    ),
    "diff": Verb(
        "model_history",
        "diff",
        "Show what differs between the runs of versions: params, metrics, data, code.",
        _LOOK,
    ),
    "register": Verb(
        "model_register", "register", "Make what a run kept a version of a model.", _DECIDE
    ),
    "best": Verb(
        "model_best", "best", "Choose the best version of a model, or the best run.", _DECIDE
    ),
    "promote": Verb("model_promote", "promote", "Give a version a stage.", _DECIDE),
    "demote": Verb("model_promote", "demote", "Take a version's stage away.", _DECIDE),
    "rollback": Verb(
        "model_promote", "rollback", "Give a stage back to who held it before.", _DECIDE
    ),
    "archive": Verb("model_promote", "archive", "Put a version into the archive.", _DECIDE),
    "alias": Verb("model_promote", "alias", "Let a movable name point at a version.", _DECIDE),
    "unregister": Verb("model_retire", "unregister", "Take a version back for ever.", _DECIDE),
    "describe": Verb(
        "model_describe", "describe", "Say what a model or a version is about.", _DECIDE
    ),
    "deprecate": Verb("model_retire", "deprecate", "Say that a model is not to be used.", _DECIDE),
    "fetch": Verb(
        "model_files", "fetch", "Write the artifact of a version into a directory.", _USE
    ),
    "path": Verb(
        "model_files",
        "path",
        "Print where the artifact of a version can be read, fetched and checked first.",
        _USE,
    ),
    "on-tag": Verb(
        "model_on_tag",
        "on_tag",
        "Say what a tag that was pushed means: for a pipeline that runs on tags.",
        _USE,
    ),
    "serve": Verb("model_serve", "serve", "Serve a version of a model with MLflow.", _USE),
}


@click.group(
    cls=Verbs,
    table=SUBVERBS,
    invoke_without_command=True,
    no_args_is_help=False,
    subcommand_metavar="VERB ...",
    epilog="'git track model VERB -h' explains a verb.",
)
@click.pass_context
def model(ctx: click.Context) -> None:
    """Name versions of models, and say where they are used.

    A version is an annotated tag on the commit of a run, and so is each decision about it: who
    holds a stage follows from these tags alone, the same for everybody who has them.

    \b
    $ git track model register amber-otter:model.joblib churn
    $ git track model promote churn@v1.0.0 production
    $ git track model ls
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
