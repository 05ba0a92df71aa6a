"""`git track completion`: the scripts that teach a shell our words, and the answers they ask for.

Git's own completion calls `_git_track` for `git track <TAB>`; the scripts define it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

__all__ = ["answer", "completion"]

_BASH = r"""# gittrack completion for bash: eval "$(git track completion bash)" in ~/.bashrc
_gittrack_words() {
    local IFS=$'\n'
    COMPREPLY=($(GITTRACK_WORDS="$1" GITTRACK_CURRENT="$2" \
        _GIT_TRACK_COMPLETE=answer_bash git-track 2>/dev/null))
    # Readline cuts words at these; what stands before them is typed already.
    local marks=":="
    [[ "$COMP_WORDBREAKS" == *@* ]] && marks+="@"
    local cut="${2%"${2##*[$marks]}"}"
    # The at sign is cut at, and yet a part of what is put in.
    cut="${cut%@}"
    if [ -n "$cut" ]; then
        COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    fi
    case "${COMPREPLY[0]}" in *,|*..|*:|*/|*@) compopt -o nospace 2>/dev/null ;; esac
}
_gittrack_line() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local current="${line##*[[:space:]]}"
    line="${line%"$current"}"
    case "$line" in
        *[[:space:]]track[[:space:]]*) line="${line#*[[:space:]]track[[:space:]]}" ;;
        *) line="${line#*[[:space:]]}" ;;
    esac
    _gittrack_words "$line" "$current"
}
# Called by Git's own completion for 'git track ...'.
_git_track() { _gittrack_line; }
complete -F _gittrack_line git-track gittrack
"""

_ZSH = r"""#compdef git-track gittrack
# gittrack completion for zsh: eval "$(git track completion zsh)" in ~/.zshrc, after compinit
_gittrack() {
    local -a found
    local line="${(j: :)${(@q)words[2,CURRENT-1]}}"
    [[ "${words[1]} ${words[2]}" == "git track" ]] && line="${(j: :)${(@q)words[3,CURRENT-1]}}"
    found=("${(@f)$(GITTRACK_WORDS="$line" GITTRACK_CURRENT="${words[CURRENT]}" \
        _GIT_TRACK_COMPLETE=answer_bash git-track 2>/dev/null)}")
    # What ends in ':', '/' or '@' goes on.
    compadd -- ${${found:#}:#*[:/@]}
    compadd -S '' -- ${(M)found:#*[:/@]}
}
# Called by Git's completion for 'git track ...', both zsh's and Git's.
_git-track() { _gittrack }
_git_track() { _gittrack }
compdef _gittrack git-track gittrack
"""

_FISH = r"""# gittrack completion for fish: git track completion fish | source
function __gittrack_answer
    set -l words (commandline -opc)
    set -e words[1]
    test "$words[1]" = track; and set -e words[1]
    GITTRACK_WORDS=(string escape -- $words | string join ' ') \
        GITTRACK_CURRENT=(commandline -ct) _GIT_TRACK_COMPLETE=answer_fish git-track 2>/dev/null
end
complete -c git-track -f -a '(__gittrack_answer)'
complete -c gittrack -f -a '(__gittrack_answer)'
complete -c git -n '__fish_seen_subcommand_from track' -f -a '(__gittrack_answer)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command()
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It completes verbs, options, runs, metrics and columns, for 'git track' as for 'git-track'.
    'git track' in bash needs Git's own completion loaded, which most systems have.

    \b
    $ eval "$(git track completion bash)"
    $ git track completion fish | source
    """
    click.echo(_SCRIPTS[shell], nl=False)


class _Answer(ShellComplete):
    """Click's logic behind our scripts: the words and the unfinished one come by environment."""

    name = "answer"
    source_template = ""

    def __init__(self, cli: click.Command, instruction: str) -> None:
        super().__init__(cli, {}, "git track", "_GIT_TRACK_COMPLETE")
        self._fish = instruction.endswith("fish")

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ.get("GITTRACK_WORDS", ""))
        return words, os.environ.get("GITTRACK_CURRENT", "")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        # Click takes whatever begins with '-' for an option, but a sort key may.
        if args[-1:] != ["--sort"] or not incomplete.startswith("-"):
            return super().get_completions(args, incomplete)
        found = super().get_completions(args, "+" + incomplete[1:])
        return [CompletionItem("-" + item.value[1:], item.type, item.help) for item in found]

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.value}\t{item.help}" if self._fish and item.help else str(item.value)


def answer(cli: click.Command, instruction: str) -> int:
    """Print what can stand where the shell asks, a line each -> the exit code.

    After `run ... --` stands a foreign command: there we have nothing to say.
    """
    from gittrack.quoting import one_line

    asked = _Answer(cli, instruction)
    words, current = asked.get_completion_args()
    if instruction not in ("answer_bash", "answer_fish") or _foreign(words):
        return 1
    for item in asked.get_completions(words, current):
        if item.type == "plain" and one_line(item.value) == item.value:
            click.echo(asked.format_completion(item))
    return 0


def _foreign(words: Sequence[str]) -> bool:
    return "run" in words and "--" in words[words.index("run") :]
