"""A JobSet for Google Kubernetes Engine: all hosts start together, and start again together.

One host that ends by a status of `data.exits.restartable` fails its Job, whereupon the JobSet starts all anew, up to
`restarts` times; any other failure is final. xpk writes its workloads in the same way, with `--restart-on-exit-codes`.
Fields: https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2/ and
https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy.
"""

from typing import Any

import yaml

from data import exits
from sharding.pods.job import Job
from sharding.pods.slices import Slice

_CONTAINER = "train"


def jobset(job: Job, where: Slice, image: str, *, grace: int = 120) -> dict[str, Any]:
    """The JobSet as an object.

    Args:
      job: what to run.
      where: on which slice, or slices.
      image: container image with this code installed.
      grace: seconds between SIGTERM and SIGKILL, in which the state is saved.
    """
    container = {
        "name": _CONTAINER,
        "image": image,
        "command": job.command(),
        # By which the hosts of a slice talk, and those of several slices (GKE's documentation). GKE itself tells every
        # host which it is, and of which slice.
        "ports": [{"containerPort": port} for port in (8471, *((8080,) if where.slices > 1 else ()))],
        "securityContext": {"privileged": True},
        "resources": {"limits": {"google.com/tpu": min(where.chips, where.chips_per_host)}},
    }
    selector = {
        "cloud.google.com/gke-tpu-accelerator": where.generation.label,
        "cloud.google.com/gke-tpu-topology": where.topology,
        **({"cloud.google.com/gke-spot": "true"} if job.spot else {}),
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace,
        "nodeSelector": selector,
        "containers": [container],
    }
    final = {
        "action": "FailJob",
        "onExitCodes": {"containerName": _CONTAINER, "operator": "NotIn", "values": exits.restartable()},
    }
    task = {
        "parallelism": where.hosts,
        "completions": where.hosts,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podFailurePolicy": {"rules": [final]},
        "template": {"spec": pod},
    }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": job.name,
            "annotations": {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"},
        },
        "spec": {
            "failurePolicy": {
                "maxRestarts": job.restarts,
                "rules": [{"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
            },
            "replicatedJobs": [{"name": "slice", "replicas": where.slices, "template": {"spec": task}}],
        },
    }


def rendered(job: Job, where: Slice, image: str, *, grace: int = 120) -> str:
    """The JobSet as YAML, for `kubectl apply -f -`."""
    again = ", ".join(f"{way.status} {way.name}" for way in exits.TABLE if way.again)
    head = f"# Started again after: {again}; signals count 128 more. Everything else is final.\n"
    return head + yaml.safe_dump(jobset(job, where, image, grace=grace), sort_keys=False, width=1000)
