"""Which process of a distributed launch this is: its rank, and the job that all ranks share.

Knows the variables that torchrun, Lightning, Horovod, Open MPI, MPICH, Intel MPI, MVAPICH and Slurm
set. Pure: the environment is an argument. Knows nothing of runs.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["job", "rank"]

_SLURM = (("SLURM_JOB_ID", "SLURM_STEP_ID"), ("SLURM_JOBID", "SLURM_STEPID"))
_LAUNCHERS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("RANK", (("TORCHELASTIC_RUN_ID",), ("MASTER_ADDR", "MASTER_PORT"), *_SLURM)),
    ("HOROVOD_RANK", (("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT"), *_SLURM)),
    ("OMPI_COMM_WORLD_RANK", (("PMIX_NAMESPACE",), ("OMPI_MCA_ess_base_jobid",), *_SLURM)),
    ("MV2_COMM_WORLD_RANK", _SLURM),
    ("PMIX_RANK", (("PMIX_NAMESPACE",), *_SLURM)),
    ("PMI_RANK", (("MASTER_ADDR", "MASTER_PORT"), *_SLURM)),
    ("LOCAL_RANK", (("MASTER_ADDR", "MASTER_PORT"),)),
    ("SLURM_PROCID", _SLURM),
)
"""What tells the rank, nearest to the process first, and what then tells the job.

Slurm comes last: what runs inside of one of its tasks, torchrun for example, knows better.
"""


def rank(env: Mapping[str, str]) -> int | None:
    """The rank of this process among all of its launch, from 0; None if it was not launched so."""
    found = _launcher(env)
    return None if found is None else found[0]


def job(env: Mapping[str, str]) -> str | None:
    """What the ranks of one launch share and no other launch alive has; None if nothing says it."""
    found = _launcher(env)
    if found is None:
        return None
    for names in found[1]:
        told = [env.get(name, "").strip() for name in names]
        # torchrun says "none" where nobody gave the launch a name.
        if all(told) and told != ["none"]:
            return "/".join((names[0], *told))
    return None


def _launcher(env: Mapping[str, str]) -> tuple[int, tuple[tuple[str, ...], ...]] | None:
    for name, jobs in _LAUNCHERS:
        told = _count(env.get(name))
        if name == "LOCAL_RANK" and told is not None:
            told = _of_all(env, told)
        if told is not None:
            return told, jobs
    return None


def _of_all(env: Mapping[str, str], local: int) -> int | None:
    """The rank among all nodes of a process that knows only its rank on this one (Lightning)."""
    node = _count(env.get("NODE_RANK", "0"))
    if node == 0:
        return local
    each = _count(env.get("LOCAL_WORLD_SIZE"))
    return None if node is None or each is None else node * each + local


def _count(text: str | None) -> int | None:
    # int() takes "1_0" and Arabic digits as well; and a number without an end.
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return int(text)
