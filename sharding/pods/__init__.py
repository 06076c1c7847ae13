"""Files that start a run on a TPU pod and start it again by its exit statuses: for GKE, and for queued resources."""
