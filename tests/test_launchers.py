"""One table says how launchers read their options, and one walk finds what they start."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import launchers
from gittrack.launchers import is_python, take


@pytest.mark.parametrize(
    "launch",
    """
    python train.py
    python3.11 -u train.py
    /usr/bin/python3 -X dev -W ignore -O train.py
    python -Wignore -Xdev -uB train.py
    python --check-hash-based-pycs always train.py
    python -m pkg.train
    python -um pkg.train
    python -mpkg.train
    python -c CODE
    python -uc CODE
    python -
    python -- train.py
    ./train.sh
    ./train
    train
    bash train.sh
    bash -eu -o pipefail train.sh
    bash -lc CODE
    sh -c CODE
    Rscript --vanilla fit.R
    julia --project=. -t 4 x.jl
    julia -t4 x.jl
    node --require ts-node/register x.js
    java -Xmx4g -cp a.jar:b.jar Main
    java -jar fit.jar
    torchrun train.py
    torchrun --standalone --nproc_per_node 4 --rdzv-backend=c10d train.py
    torchrun --nproc-per-node=gpu -m pkg.train
    python -m torch.distributed.run --nproc_per_node 2 train.py
    python -m torch.distributed.launch --use_env --nproc_per_node 2 train.py
    accelerate launch train.py
    accelerate launch --multi_gpu --num_processes 2 --mixed_precision fp16 train.py
    accelerate launch --config_file a.yaml -m pkg.train
    accelerate launch --num_processes 2 -m --mixed_precision bf16 pkg.train
    python -m accelerate.commands.launch --cpu train.py
    deepspeed --num_gpus 2 --include localhost:0 train.py
    deepspeed --module pkg.train
    mpirun -np 4 python train.py
    mpirun --allow-run-as-root -np 4 --mca btl tcp -x PATH --bind-to none ./train
    mpiexec -n 4 -genv OMP_NUM_THREADS 2 python -u train.py
    srun python train.py
    srun -N1 -n 4 --gres=gpu:1 --cpu-bind none -l python train.py
    srun --gres gpu:2 --partition long torchrun --nproc_per_node 2 train.py
    sbatch --time 1:00 job.sh
    horovodrun -np 4 -H a:2,b:2 --verbose python train.py
    uv run train.py
    uv run --with numpy --frozen --python 3.11 python train.py
    uv run -m pkg.train
    uv --directory sub run -- python train.py
    poetry run python train.py
    pipenv run python -m pkg.train
    conda run -n ml --no-capture-output python train.py
    micromamba run -p /opt/ml python train.py
    pixi run -e cuda python train.py
    env A=1 --unset B C=--lr python train.py
    env -i PATH=/bin train
    nice -n 10 python train.py
    nice -10 python train.py
    time -f %e python train.py
    nohup nice python train.py
    timeout -k 5 1h python train.py
    taskset -c 0-3 python train.py
    numactl -N 0 -m 0 --interleave=all python train.py
    xvfb-run -a -s SCREEN python train.py
    stdbuf -oL python train.py
    coverage run --branch -m pkg.train
    python -m pdb -c continue train.py
    python -m cProfile -o prof.out -m pkg.train
    debugpy --listen 5678 --wait-for-client train.py
    python -m debugpy --listen 5678 train.py
    docker run --gpus all -it --rm -v /a:/b -e A=1 image python train.py
    apptainer exec --nv --bind /a image.sif python train.py
    sudo -u ml A=1 python train.py
    env -S 'nice -n 5' python train.py
    env - A=1 python train.py
    env -- A=1 python train.py
    caffeinate -t 60 python train.py
    gdb -batch -ex run --args python train.py
    jsrun -n 4 -l cpu-cpu python train.py
    conda run --live-stream -n ml python train.py
    pdm run --venv test python train.py
    ipython train.py
    env A=1 nice timeout 5 srun -n 2 uv run torchrun --nproc_per_node 2 -m pkg.train
    """.strip().splitlines(),
)
def test_what_a_launcher_is_told_is_no_param(launch: str) -> None:
    """Else every run on a cluster would seem to differ in its ports and node counts."""
    words = shlex.split(launch)
    assert launchers.arguments([*words, "--lr", "0.1"]) == ("--lr", "0.1")


@pytest.mark.parametrize(
    "launch",
    [
        "",
        "python",
        "python -m",
        "python -c",
        "nice -n",
        "timeout",
        "torchrun --standalone",
        "uv run",
    ],
)
def test_a_launcher_without_a_program_has_no_params(launch: str) -> None:
    """Half a command line is not ours to complain about."""
    assert launchers.arguments(launch.split()) == ()


def test_a_known_name_doing_something_else_is_the_program_itself() -> None:
    """`uv pip` starts nothing of the user's, yet its options are what was said."""
    assert launchers.take(["uv", "pip"]) is None
    assert launchers.arguments(["uv", "pip", "install", "--pre"]) == ("pip", "install", "--pre")
    assert launchers.arguments(["python", "-m", "uv", "pip", "--pre"]) == ("pip", "--pre")
    assert launchers.take(["uv", "--version"]) is launchers.take(["./train"]) is None


@pytest.mark.parametrize(
    ("line", "own", "options", "starts", "program", "rest"),
    [
        ("python -uW error -Im p a", "python -uW error -I", "-u -W=error -I", "module", "p", "a"),
        ("python -sE -cCODE a", "python -sE -cCODE", "-sE", "text", "CODE", "a"),
        ("python -u -", "python -u", "-u", "script", "-", ""),
        ("env -i A=1 -u B prog a", "env -i A=1 -u B", "-i A=1 -u=B", "command", "", "prog a"),
        ("uv run --with n -q -- t", "uv run --with n -q", "--with=n -q", "command", "", "t"),
        ("uv run -m --with n pkg", "uv run --with n", "--with=n", "module", "pkg", ""),
        ("mpirun --mca a b -np 2 t", "mpirun --mca a b -np 2", "--mca -np=2", "command", "", "t"),
        ("timeout -k5 1h t", "timeout -k5 1h", "-k=5", "command", "", "t"),
        ("env -S 'nice -n 5' t", "env", "", "command", "", "nice -n 5 t"),
        ("env '-S nice t", "env", "", "command", "", "nice t"),
        ("nice -n", "nice -n", "-n=", "command", "", ""),
    ],
)
def test_a_launcher_is_taken_off_whole(
    line: str, own: str, options: str, starts: str, program: str, rest: str
) -> None:
    """The environment asks by the same words, and needs what they say."""
    words = shlex.split(line) if line.count("'") != 1 else ["env", "-S nice", "t"]
    step = take(words)
    assert step is not None
    said = [name if value is None else f"{name}={value}" for name, value in step.options]
    assert " ".join(step.own) == own
    assert " ".join(said) == options
    assert (step.starts, step.program, " ".join(step.rest)) == (starts, program, rest)


def test_where_a_program_follows_an_unknown_option_the_caller_is_asked() -> None:
    """Only the disk knows that `tool` is a program and `fast` is not."""
    asked: list[str] = []

    def runs(word: str) -> bool:
        asked.append(word)
        return word == "tool"

    for line, rest in [("--new tool a", "tool a"), ("--new fast tool a", "tool a")]:
        step = take(["srun", "-n", "4", *line.split()], runs=runs)
        assert step is not None and " ".join(step.rest) == rest
    assert asked == ["tool", "fast"]


@pytest.mark.parametrize(
    ("words", "place"),
    [("env", "here"), ("mpirun", "watched"), ("uv run", "inside"), ("/bin/python3", "untold")],
)
def test_a_launcher_says_where_its_program_runs(words: str, place: str) -> None:
    """What runs in a container or as another user must not be looked up here."""
    step = take(words.split())
    assert step is not None and step.place == place


_PYTHONS = (
    "python python3 python3.11 pypy pypy3.10 pythonw python3.13t python3.7dm python3-dbg /a/python"
)
_OTHERS = "ipython pythonic python-config py python3x pypyx pythonista"


def test_interpreters_are_known_by_name() -> None:
    """A user's own `pythonic` is a program."""
    assert [name for name in _PYTHONS.split() if not is_python(name)] == []
    assert [name for name in _OTHERS.split() if is_python(name)] == []


_NAMES = sorted({*launchers._LAUNCHERS, "python", "-m", *launchers._MODULES})
_OPTIONS = sorted(
    {
        option
        for row in launchers._LAUNCHERS.values()
        for text in row[:6]
        for option in (text or "").split()
    }
)
_WORDS = st.one_of(
    st.sampled_from(_NAMES),
    st.sampled_from(_OPTIONS),
    st.sampled_from(["run", "--", "-", "A=1", "x.py", "4"]),
    st.text(alphabet="-=a'1\ud800", max_size=5),
)


@settings(deadline=None)
@given(st.lists(_WORDS, max_size=8))
def test_any_command_line_is_walked_to_an_end(argv: list[str]) -> None:
    """What is cut off never comes back, unless `env -S` makes words of one."""
    rest = launchers.arguments(argv)
    if not any(word.startswith(("-", "env")) for word in argv):
        assert rest == tuple(argv[len(argv) - len(rest) :])
    step = take(argv)
    if step is not None:
        assert step.own[0] == argv[0]


def test_the_table_names_each_option_once() -> None:
    """An option of two meanings in one launcher would have whichever is asked first."""
    for name, row in launchers._LAUNCHERS.items():
        kinds = [row.values, row.flags or "", row.pairs, row.ends, row.modules, row.splits]
        said = " ".join(kinds).split()
        assert sorted(said) == sorted(set(said)), name
        assert all(word.startswith("-") for word in said), name
