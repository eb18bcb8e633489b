"""The batch script of SLURM: an array of workers that are all alike.

The script ends by becoming the worker (`exec`). So the signal that SLURM sends to the batch shell before the
time limit reaches the worker itself, once, and the worker's exit code is the task's.

References:
    https://slurm.schedmd.com/sbatch.html: --array, --signal, --requeue, --open-mode, "filename pattern".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from data_prep.problems import Problems
from search.launchers.request import LaunchRequest

TIME = re.compile(
    r"(?:(?P<days>\d+)-(?P<dh>\d+)(?::(?P<dm>\d+)(?::(?P<ds>\d+))?)?"
    r"|(?P<h>\d+):(?P<hm>\d+):(?P<hs>\d+)|(?P<m>\d+)(?::(?P<s>\d+))?)"
)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+-]*")  # of partitions and accounts
OPTION = re.compile(r"(--[A-Za-z][A-Za-z0-9-]*)(=.*)?")
OURS = {"--array", "--signal", "--wait", "--wrap"}  # others would not run the workers that were asked for
# In sbatch's environment, where it is not SBATCH_ and the option's name; and what contradicts an option.
VARIABLES = {
    "--array": ("SBATCH_ARRAY_INX",),
    "--time": ("SBATCH_TIMELIMIT",),
    "--requeue": ("SBATCH_REQUEUE", "SBATCH_NO_REQUEUE"),
    "--mem": ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU"),
    "--gres": ("SBATCH_GRES", "SBATCH_GPUS", "SBATCH_GPUS_PER_NODE", "SBATCH_GPUS_PER_TASK"),
    "--output": ("SBATCH_OUTPUT", "SBATCH_ERROR"),
}
WRITTEN = {
    *("--job-name", "--array", "--nodes", "--ntasks", "--gres", "--cpus-per-task", "--mem", "--time"),
    *("--partition", "--account", "--requeue", "--open-mode", "--signal", "--output"),
}
LONGEST_NOTICE = 65535  # seconds; SLURM keeps them in 16 bits

_SCRIPT = """\
#!/bin/bash
# Workers of the study {study}, all alike. Written by `radsearch submit`; sbatch takes it again as it is.
{options}

trap 'exit 0' TERM  # there is nothing to leave yet
echo "$(date '+%F %T') $(uname -n): task ${{SLURM_ARRAY_JOB_ID:-}}_${{SLURM_ARRAY_TASK_ID:-}}"
if ! source {env_file}; then
    echo {unreadable} >&2
    exit 3
fi
{setup}
# Nobody else may have made the folder: its patches are trained on.
cache="${{RADSEARCH_CACHE:-${{SLURM_TMPDIR:-${{TMPDIR:-/tmp}}}}/radsearch-cache-$(id -u)}}"
(umask 077 && mkdir -p -- "$cache")
if [ ! -d "$cache" ] || [ -L "$cache" ] || [ ! -O "$cache" ]; then
    cache="$RADSEARCH_HOME/cache"
fi
exec {command} --cache "$cache"
"""


def script(request: LaunchRequest) -> str:
    """The text of the script; it holds no secret."""
    env_file = str(request.env_file)
    unreadable = f"{env_file}: this node must be able to read it. Is the home on a file system of all nodes?"
    return _SCRIPT.format(
        study=request.study,
        options="\n".join(f"#SBATCH {option}" for option in _options(request)),
        env_file=shlex.quote(env_file),
        unreadable=shlex.quote(unreadable),
        setup="".join(f"{line}\n" for line in request.batch.setup),
        command=shlex.join(request.command),
    )


def check_batch(request: LaunchRequest, problems: Problems) -> None:
    """Note what sbatch or the shell would take for something else."""
    batch = request.batch
    seconds = seconds_of(batch.time)
    if not seconds:
        law = "must be minutes, H:M:S, or days-hours, above 0"
        problems.add("--time", f"{law}, but got {batch.time!r}")
    elif batch.notice >= seconds:
        law = "must be shorter than --time: a worker would have to leave before it begins"
        problems.add("--notice", f"{law}, but got {batch.notice} s of {seconds} s")
    if batch.notice > LONGEST_NOTICE:
        problems.add("--notice", f"SLURM takes {LONGEST_NOTICE} s at most, but got {batch.notice}")
    for flag, name in (("--partition", batch.partition), ("--account", batch.account)):
        if name is not None and not NAME.fullmatch(name):
            problems.add(flag, f"must be a name of letters, digits and _.,:@+-, but got {name!r}")
    for line in batch.setup:
        if not line.isprintable():
            problems.add("--setup", f"must be one line of shell, but got {line!r}")
    for option in batch.options:
        _check_option(option, problems)
    if not re.fullmatch(r"[^\"'\\]*", str(request.folder)) or not str(request.folder).isprintable():
        law = "its path must be without quotes and backslashes, which sbatch takes for its own"
        problems.add("--home", f"{law}, but got {str(request.folder)!r}")


def _check_option(option: str, problems: Problems) -> None:
    try:
        words = shlex.split(option)
    except ValueError:  # a quote that is not closed
        words = []
    match = OPTION.fullmatch(words[0]) if len(words) == 1 else None
    if match is None or not option.isprintable():
        law = "must be one long option of sbatch without a blank, as --qos=long"
        problems.add("--sbatch", f"{law}, but got {option!r}")
    elif match[1] in OURS:
        law = f"must be none of {', '.join(sorted(OURS))}, on which the workers rest"
        problems.add("--sbatch", f"{law}, but got {option!r}")
    elif match[1] not in WRITTEN and any(name.startswith(match[1]) for name in OURS | WRITTEN):
        problems.add("--sbatch", f"must have its whole name, but got {option!r}")


def variables(request: LaunchRequest) -> set[str]:
    """What in sbatch's environment would overrule the script, or have sbatch wait for the job."""
    names = [option.partition("=")[0] for option in _options(request)]
    made = (VARIABLES.get(name, (f"SBATCH_{name[2:].upper().replace('-', '_')}",)) for name in names)
    return {"SBATCH_WAIT"}.union(*made)


def seconds_of(limit: str) -> int | None:
    """A time limit as sbatch writes it, in seconds; None where it is none.

    >>> seconds_of("90"), seconds_of("04:00:00"), seconds_of("1-12"), seconds_of("soon")
    (5400, 14400, 129600, None)
    """
    match = TIME.fullmatch(limit)
    if match is None:
        return None
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    hours = 24 * part["days"] + part["dh"] + part["h"]
    minutes = part["dm"] + part["hm"] + part["m"]
    return 3600 * hours + 60 * minutes + part["ds"] + part["hs"] + part["s"]


def _options(request: LaunchRequest) -> Iterator[str]:
    """The options, ours first: of two, sbatch takes the later."""
    batch, tasks = request.batch, request.batch.tasks
    yield f"--job-name=radsearch-{request.study}"
    yield f"--array=1-{tasks}%{min(request.at_once, tasks)}"
    yield "--nodes=1"
    yield "--ntasks=1"
    if request.gpus:
        yield f"--gres=gpu:{request.gpus}"
    yield f"--cpus-per-task={request.cpus}"
    yield f"--mem={request.memory_mb}M"
    yield f"--time={batch.time}"
    if batch.partition is not None:
        yield f"--partition={batch.partition}"
    if batch.account is not None:
        yield f"--account={batch.account}"
    yield "--requeue"
    yield "--open-mode=append"
    yield f"--signal=B:TERM@{batch.notice}"
    logs = str(request.logs).replace("%", "%%")  # of which sbatch makes patterns
    yield f'--output="{logs}/slurm-%A_%a.log"'
    yield from batch.options
