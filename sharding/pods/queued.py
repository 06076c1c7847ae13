"""A shell script for Cloud TPU's queued resources: asks for a slice, and asks again whenever it was taken back.

Every host runs the supervised command at each start of its machine. How the run ended is left in the run directory,
where the script waits for it. Commands: https://cloud.google.com/tpu/docs/queued-resources.
"""

import shlex

from data import exits
from sharding.pods.job import Job
from sharding.pods.slices import Slice

# What the hosts run when they start. A preempted run leaves no status: it goes on with the next machine.
_STARTUP = """#!/bin/bash
{setup}
{command} --supervise --restarts={restarts}
status=$?
[ "$status" -eq {preempted} ] || echo "$status" | gcloud storage cp - {run}/exit_status
"""

_SCRIPT = """#!/usr/bin/env bash
# Run it on any machine with gcloud, and leave it running; started again, it goes on waiting.
# It ends with the exit status of the run:
{table}
set -euo pipefail
name={name} zone={zone} run={run} every=${{ESPALIER_POLL_SECONDS:-60}}
tpus() {{ gcloud compute tpus queued-resources "$@" --zone="$zone"{project}; }}
startup=$(mktemp)
trap 'rm -f "$startup"' EXIT
cat >"$startup" <<'STARTUP'
{startup}STARTUP

while true; do
    if status=$(gcloud storage cat "$run/exit_status" 2>/dev/null); then
        gcloud storage rm "$run/exit_status"
        tpus delete "$name" --force --quiet || true
        exit "$status"
    fi
    state=$(tpus describe "$name" --format='value(state.state)' 2>/dev/null || echo ABSENT)
    echo "$(date -u +%FT%TZ) $name: $state"
    # A call that fails is made again in the next round.
    case $state in
    SUSPENDED | FAILED) tpus delete "$name" --force --quiet || true ;;
    ABSENT) tpus create "$name" {nodes} --accelerator-type={accelerator} --runtime-version={runtime}{spot} \\
        --metadata-from-file=startup-script="$startup" || true ;;
    esac
    sleep "$every"
done
"""


def rendered(job: Job, where: Slice, zone: str, setup: str, *, project: str = "") -> str:
    """The script.

    Args:
      job: what to run.
      where: on which slice, or slices.
      zone: of Google Cloud.
      setup: shell command that installs this code on a host.
      project: of Google Cloud; gcloud's own if empty.
    """
    run = shlex.quote(job.run)
    startup = _STARTUP.format(
        setup=setup, command=shlex.join(job.command()), run=run, restarts=job.restarts,
        preempted=exits.PREEMPTED.status,
    )  # fmt: skip
    return _SCRIPT.format(
        table="\n".join(f"# {line}" for line in exits.table().splitlines()),
        nodes='--node-id="$name"' if where.slices == 1 else f'--node-prefix="$name" --node-count={where.slices}',
        name=job.name, zone=shlex.quote(zone), run=run, startup=startup,
        project=f" --project={shlex.quote(project)}" if project else "",
        accelerator=where.accelerator_type, runtime=where.generation.runtime,
        spot=" --spot" if job.spot else "",
    )  # fmt: skip
