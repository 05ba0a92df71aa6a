"""What a point costs that a script logs, beside bare writes of the same bytes and other trackers.

    python benchmarks/points.py --peers PYTHON

`PYTHON` is one that has mlflow, dvclive, trackio, tensorboardX or wandb; by default this one. A
peer that is not there is left out, and it says so.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import Claim, arguments, ground, report

_RATE = 150_000
_RATE_OF_TEN = 500_000
_TARGET_OF_WRITES = 4
_P50, _P999 = 8_000, 200_000
_MEMORY = 64 << 10


class Logger(NamedTuple):
    """A way to log: statements to begin with, in a loop over `step`, and to end with.

    `share` of the points is what it logs: some would need hours for all.
    """

    begin: str
    call: str
    end: str = ""
    share: float = 1.0
    points: int = 1
    needs: str | None = None


_MLFLOW = """\
import logging
logging.disable(logging.INFO)
import mlflow
mlflow.set_tracking_uri({store!r})
mlflow.set_experiment("one")
run = mlflow.start_run().info.run_id
"""
_FILES = "import os\nos.environ['MLFLOW_ALLOW_FILE_STORE'] = 'true'\n" + _MLFLOW.format(
    store="file:./mlruns"
)
_SQLITE = _MLFLOW.format(store="sqlite:///mlflow.db")
_ONE = "mlflow.log_metric('loss', step / 7, step=step)"
_BATCH = """\
batch.append(Metric("loss", step / 7, 1000 + step, step))
    if len(batch) == 1000:
        client.log_batch(run, metrics=batch)
        batch.clear()"""
_BEGIN_BATCH = _SQLITE + (
    "from mlflow.entities import Metric\nclient, batch = mlflow.MlflowClient(), []\n"
)
_TEN = "{" + ", ".join(f"'metric{n}': step / {n + 7}" for n in range(10)) + "}"
_OPEN = "import os\nfile = os.open('bytes', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\nline = b'x' * "
_OURS = "import gittrack\nfrom gittrack import active\ngittrack.log_metric('loss', 0.5)\n"
_LINE = b'01234567 {"t":1234567890.123456,"metrics":{"loss":1234.1428571428571},"step":12345}\n'

LOGGERS: Mapping[str, Logger] = {
    "gittrack": Logger(
        _OURS, "gittrack.log_metric('loss', step / 7, step=step)", "active.current()._close()"
    ),
    "os.write": Logger(f"{_OPEN}{len(_LINE)}\n", "os.write(file, line)"),
    "gittrack, ten": Logger(
        _OURS,
        f"gittrack.log_metrics({_TEN}, step=step)",
        "active.current()._close()",
        share=0.1,
        points=10,
    ),
    "mlflow, files": Logger(
        _FILES, _ONE, "mlflow.end_run()", share=0.001, needs="mlflow, sqlalchemy"
    ),
    "mlflow, SQLite": Logger(
        _SQLITE, _ONE, "mlflow.end_run()", share=0.001, needs="mlflow, sqlalchemy"
    ),
    "mlflow, SQLite, log_batch of 1,000": Logger(
        _BEGIN_BATCH, _BATCH, "mlflow.end_run()", share=0.05, needs="mlflow, sqlalchemy"
    ),
    "dvclive": Logger(
        "from dvclive import Live\n"
        "live = Live('live', save_dvc_exp=False, report=None, dvcyaml=None)\n",
        "live.log_metric('loss', step / 7); live.next_step()",
        "live.end()",
        share=0.005,
        needs="dvclive",
    ),
    "trackio": Logger(
        "import trackio\ntrackio.init(project='one')\n",
        "trackio.log({'loss': step / 7}, step=step)",
        "trackio.finish()",
        share=0.05,
        needs="trackio",
    ),
    "tensorboardX": Logger(
        "from tensorboardX import SummaryWriter\nwriter = SummaryWriter('logs')\n",
        "writer.add_scalar('loss', step / 7, step)",
        "writer.close()",
        share=0.05,
        needs="tensorboardX",
    ),
    "wandb, offline": Logger(
        "import os\nos.environ['WANDB_SILENT'] = 'true'\n"
        "import wandb\nrun = wandb.init(mode='offline', project='one')\n",
        "run.log({'loss': step / 7}, step=step)",
        "run.finish(); wandb.teardown()",
        share=0.01,
        needs="wandb",
    ),
}

_PROGRAM = """\
{begin}
import resource, sys
def cpu():
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, both))
before = cpu()
for step in range({steps}):
    {call}
{end}
sys.stderr.write("\\n%r" % (cpu() - before))
"""
_LATENCY = (
    _OURS
    + """
import os, sys
from time import perf_counter_ns as now
file = os.open("bytes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ours, bare = [], []
for step in range({steps}):
    began = now()
    gittrack.log_metric("loss", step / 7, step=step)
    ours.append(now() - began)
    began = now()
    os.write(file, {line})
    bare.append(now() - began)
ours.sort()
bare.sort()
half, most = len(ours) // 2, len(ours) * 999 // 1000
sys.stderr.write("\\n%r %r %r %r" % (ours[half], ours[most], bare[half], bare[most]))
"""
)
_LONG = (
    _OURS
    + """
import resource, sys, time
costs = []
for part in range(20):
    before = time.process_time()
    for step in range(part * {steps}, (part + 1) * {steps}):
        gittrack.log_metric("loss", step / 7, step=step)
    costs.append(time.process_time() - before)
costs = sorted(costs[:5]), sorted(costs[-5:])
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.stderr.write("\\n%r %r %r" % (costs[0][2], costs[1][2], memory))
"""
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--points", type=int, default=200_000, help="by log_metric, in each round")
    parser.add_argument("--long", type=int, default=2_000_000, help="steps of the long run")
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable)
    given = parser.parse_args(argv)
    with ground() as place:
        costs = _costs(place, given.points, given.rounds, given.peers)
        p50, p999, bare50, bare999 = _median(place, _LATENCY, given.points, given.rounds)
        first, last, memory = _median(place, _LONG, given.long // 20, 1)
    one, ten, bare = costs.pop("gittrack"), costs.pop("gittrack, ten"), costs.pop("os.write")
    count = f"{given.points:,} points"
    claims = [
        Claim(count, "bare os.write, same bytes", one, bare, _TARGET_OF_WRITES),
        Claim(count, f"{_RATE:,} in a CPU second", one, given.points / _RATE, 1),
        Claim(
            f"{count}, ten in a call",
            f"{_RATE_OF_TEN:,} in a CPU second",
            ten,
            given.points / _RATE_OF_TEN,
            1,
        ),
        *(Claim(count, name, one, cost, None) for name, cost in costs.items()),
        Claim("a call, by the clock, p50", "8 microseconds", p50, _P50, 1, "ns"),
        Claim("a call, by the clock, p50", "bare os.write", p50, bare50, None, "ns"),
        Claim("a call, by the clock, p99.9", "200 microseconds", p999, _P999, 1, "ns"),
        Claim("a call, by the clock, p99.9", "bare os.write", p999, bare999, None, "ns"),
        Claim(f"step {given.long:,}, and those before", "steps 1 and on", last, first, 1.1),
        Claim("memory after it, at its peak", "64 MB", memory, _MEMORY, 1, "kB"),
    ]
    return report("Logging points", claims)


def _costs(place: Path, points: int, rounds: int, peers: str) -> dict[str, float]:
    """The median CPU seconds for so many points, of each logger that is there."""
    seen: dict[str, list[float]] = {}
    for name, logger in LOGGERS.items():
        if logger.needs is None or _has(peers, logger.needs):
            seen[name] = []
    for number in range(rounds + 1):
        for name, costs in seen.items():
            logger = LOGGERS[name]
            steps = max(1, int(points * logger.share))
            parts = logger._asdict() | {"steps": steps}
            python = sys.executable if logger.needs is None else peers
            (cost,) = _run(place, python, _PROGRAM.format(**parts), name=f"{number} {name}")
            if number:
                costs.append(cost * points / steps / logger.points)
    return {name: statistics.median(costs) for name, costs in seen.items()}


def _median(place: Path, program: str, steps: int, rounds: int) -> list[float]:
    """The median of each number that a program of ours tells."""
    told = [
        _run(
            place, sys.executable, program.format(steps=steps, line=_LINE), name=f"{number} {steps}"
        )
        for number in range(rounds)
    ]
    return [statistics.median(column) for column in zip(*told, strict=True)]


def _run(place: Path, python: str, program: str, *, name: str) -> list[float]:
    """Run a program in a new directory, which is also that of its run -> the numbers it tells."""
    here = place / name.replace(" ", "-").replace(",", "")
    here.mkdir(exist_ok=True)
    env = {**os.environ, "GITTRACK_RUN": os.fspath(here), "HOME": os.fspath(here)}
    done = subprocess.run(
        [python, "-c", program], cwd=here, env=env, check=True, capture_output=True, text=True
    )
    told = [float(word) for word in done.stderr.split("\n")[-1].split()]
    for path in here.glob("*"):
        if path.is_file():
            path.unlink()
    return told


def _has(python: str, modules: str) -> bool:
    """Whether an interpreter has the modules; says so if not."""
    words = [python, "-c", f"import {modules}"]
    try:
        there = subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        there = False
    if not there:
        print(f"{modules}: not there, left out", file=sys.stderr)
    return there


if __name__ == "__main__":
    sys.exit(main())
