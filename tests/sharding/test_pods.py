"""Files for pods: their structure against the published one, their script run against a cloud that is a folder."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from data import exits
from data.console import UsageError
from sharding.pods import queued
from sharding.pods.job import Job
from sharding.pods.jobset import rendered
from sharding.pods.slices import parse

ROOT = Path(__file__).resolve().parents[2]
JOB = Job("night-run", "llama3_8b", "gs://bucket/run", ('model.attention.mask=Causal() & SlidingWindow("a b")',))

# Fields and types of jobset.x-k8s.io/v1alpha2 and batch/v1, as far as they are used. A list has one element for all.
RULE = {"action": str, "onExitCodes": {"containerName": str, "operator": str, "values": [int]}}
CONTAINER = {
    "name": str, "image": str, "command": [str], "ports": [{"containerPort": int}],
    "securityContext": {"privileged": bool}, "resources": {"limits": {"google.com/tpu": int}},
}  # fmt: skip
POD = {
    "restartPolicy": str, "terminationGracePeriodSeconds": int, "nodeSelector": {str: str}, "containers": [CONTAINER],
}  # fmt: skip
TASK = {
    "parallelism": int, "completions": int, "completionMode": str, "backoffLimit": int,
    "podFailurePolicy": {"rules": [RULE]}, "template": {"spec": POD},
}  # fmt: skip
JOBSET = {
    "apiVersion": str, "kind": str, "metadata": {"name": str, "annotations": {str: str}},
    "spec": {
        "failurePolicy": {"maxRestarts": int, "rules": [{"action": str, "onJobFailureReasons": [str]}]},
        "replicatedJobs": [{"name": str, "replicas": int, "template": {"spec": TASK}}],
    },
}  # fmt: skip


def check(found: object, schema: object, place: str = "") -> None:
    if isinstance(schema, dict):
        assert isinstance(found, dict), place
        for key, value in found.items():
            assert key in schema or str in schema, f"{place}.{key} is no field"
            check(value, schema.get(key, schema.get(str)), f"{place}.{key}")
        assert schema.keys() - {str} <= found.keys(), f"{place} lacks {schema.keys() - found.keys()}"
    elif isinstance(schema, list):
        assert isinstance(found, list) and found, place
        for item in found:
            check(item, schema[0], f"{place}[]")
    else:
        assert type(found) is schema, place


def test_jobset_has_the_published_structure() -> None:
    found = yaml.safe_load(rendered(JOB, parse("v5e:16x16"), "image:tag"))
    check(found, JOBSET)
    assert (found["apiVersion"], found["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    task = found["spec"]["replicatedJobs"][0]["template"]["spec"]
    pod = task["template"]["spec"]
    # 256 chips of v5e are 64 hosts of 4; Kubernetes takes a pod failure policy only with Never.
    assert (task["parallelism"], task["completions"], task["completionMode"]) == (64, 64, "Indexed")
    assert pod["restartPolicy"] == "Never" and pod["containers"][0]["resources"]["limits"]["google.com/tpu"] == 4
    assert pod["nodeSelector"]["cloud.google.com/gke-tpu-accelerator"] == "tpu-v5-lite-podslice"
    assert pod["containers"][0]["command"][-1] == '--set=model.attention.mask=Causal() & SlidingWindow("a b")'


def test_slices_of_a_job_are_replicas_that_can_reach_one_another() -> None:
    found = yaml.safe_load(rendered(JOB, parse("v5p:4x4x4", slices=3), "image:tag"))
    check(found, JOBSET)
    replicated = found["spec"]["replicatedJobs"][0]
    task = replicated["template"]["spec"]
    # 64 chips of v5p are 16 hosts, in each of the 3 slices.
    assert (replicated["replicas"], task["parallelism"]) == (3, 16)
    ports = task["template"]["spec"]["containers"][0]["ports"]
    assert [port["containerPort"] for port in ports] == [8471, 8080]
    script = queued.rendered(JOB, parse("v5p:4x4x4", slices=3), "z", "true")
    assert '--node-prefix="$name" --node-count=3 ' in script and "--node-id" not in script


def jobset_goes_on(found: dict, status: int) -> bool:
    """What Kubernetes does when a pod's container ends by a status: by the documented order of rules."""
    policy, task = found["spec"]["failurePolicy"], found["spec"]["replicatedJobs"][0]["template"]["spec"]
    reason = "BackoffLimitExceeded"
    for rule in task["podFailurePolicy"]["rules"]:
        codes = rule["onExitCodes"]
        if (status in codes["values"]) == (codes["operator"] == "In") and rule["action"] == "FailJob":
            reason = "PodFailurePolicy"
            break
    action = next((r["action"] for r in policy["rules"] if reason in r["onJobFailureReasons"]), "RestartJobSet")
    return action == "RestartJobSet"


def test_jobset_starts_again_after_the_statuses_that_allow_it() -> None:
    found = yaml.safe_load(rendered(JOB, parse("v6e:4x4"), "image"))
    values = found["spec"]["replicatedJobs"][0]["template"]["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]
    # Kubernetes: at most 255 of them, in order, each once.
    assert values["values"] == sorted(set(values["values"]))
    for way in exits.TABLE[1:]:
        assert jobset_goes_on(found, way.status) == way.again, way
    assert jobset_goes_on(found, 137) and not jobset_goes_on(found, 3)


@pytest.mark.parametrize(
    ("name", "hosts", "accelerator"),
    [
        ("v5e:16x16", 64, "v5litepod-256"),
        ("v5p:8x8x8", 128, "v5p-1024"),
        ("v4:2x2x1", 1, "v4-8"),
        ("v6e:2x4", 2, "v6e-8"),
    ],
)
def test_slices_have_the_clouds_names(name: str, hosts: int, accelerator: str) -> None:
    found = parse(name)
    assert (found.hosts, found.accelerator_type) == (hosts, accelerator)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tpu7:4x4x4", "there is no 'tpu7'; did you mean tpu7x?"),
        ("v5e:4x4x4", "a topology of v5e is written v5e:NxN"),
        ("v5p", "a topology of v5p is written v5p:NxNxN"),
        ("v5e:3x3", "hosts of 4 chips cannot make up 9"),
    ],
)
def test_wrong_slices_get_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(name)
    assert sentence in str(raised.value)


def test_slices_of_one_host_are_not_joined() -> None:
    with pytest.raises(UsageError, match="--slices is 2, and v5e:2x2 is one host"):
        parse("v5e:2x2", slices=2)


@pytest.mark.parametrize(("name", "run"), [("Night", "gs://b/r"), ("x" * 41, "gs://b/r"), ("ok", "/local")])
def test_wrong_jobs_get_a_sentence(name: str, run: str) -> None:
    with pytest.raises(UsageError):
        Job(name, "smoke", run)


# A cloud in a folder: `state` is that of the queued resource, `bucket/` what lies in the bucket. A slice that is
# created becomes active; the first is taken back at once, and the second ends the run.
GCLOUD = """#!/usr/bin/env bash
cd "$CLOUD"; echo "$*" >>calls
case "$*" in
"storage cat "*) cat bucket/exit_status ;;
"storage rm "*) rm bucket/exit_status ;;
*" describe "*) [ -f state ] && cat state ;;
*" delete "*) rm state ;;
*" create "*)
    echo x >>created
    if [ "$(wc -l <created)" = 1 ]; then echo SUSPENDED >state; else echo ACTIVE >state; echo 1 >bucket/exit_status; fi
    cp "${@: -1:1}" startup 2>/dev/null || cp "${*##*startup-script=}" startup ;;
*) exit 9 ;;
esac
"""


def test_queued_script_asks_again_until_the_run_has_ended(tmp_path: Path) -> None:
    cloud, programs = tmp_path / "cloud", tmp_path / "bin"
    (cloud / "bucket").mkdir(parents=True)
    programs.mkdir()
    (programs / "gcloud").write_text(GCLOUD)
    (programs / "gcloud").chmod(0o755)
    script = queued.rendered(JOB, parse("v5p:4x4x4"), "us-east5-a", "pip install espalier", project="mine")
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CLOUD": str(cloud), "ESPALIER_POLL_SECONDS": "0.05",
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    calls = (cloud / "calls").read_text().splitlines()
    verbs = [word for call in calls for word in call.split() if word in ("create", "delete")]
    assert verbs == ["create", "delete", "create", "delete"]
    created = next(call for call in calls if " create " in call)
    assert "--accelerator-type=v5p-128" in created and "--zone=us-east5-a --project=mine" in created
    assert not (cloud / "state").exists() and not (cloud / "bucket" / "exit_status").exists()


@pytest.mark.parametrize(("status", "told"), [(75, ""), (0, "0\n"), (76, "76\n")])
def test_host_tells_how_the_run_ended_unless_it_was_preempted(tmp_path: Path, status: int, told: str) -> None:
    script = queued.rendered(JOB, parse("v5e:4x4"), "z", "true")
    startup = script.split("<<'STARTUP'\n")[1].split("STARTUP\n")[0]
    programs = {
        "python": f'printf "%s\\n" "$@" >{shlex.quote(str(tmp_path))}/arguments; exit {status}',
        "gcloud": f"cat >{shlex.quote(str(tmp_path))}/told",
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", startup], env=environment, check=False, timeout=60)
    assert (tmp_path / "arguments").read_text().splitlines() == [*JOB.command()[1:], "--supervise", "--restarts=100"]
    assert ((tmp_path / "told").read_text() if (tmp_path / "told").exists() else "") == told
