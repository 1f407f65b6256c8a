"""What travels through Celery: ids, and nothing that would hurt if lost, doubled or read.

A hint says "this job is due". The SQL row is the job; a hint with a stale `dispatch_no` is dropped.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hint:
    """One Celery message."""

    job_id: int
    dispatch_no: int


def queue_name(provider: str) -> str:
    """Name the Celery queue of *provider*: one queue a provider."""
    return f"promptmill.{provider}"


def task_name(provider: str) -> str:
    """Name the Celery task of *provider*, so that Flower and its metrics split by provider."""
    return f"promptmill.complete.{provider}"


def task_id(job_id: int) -> str:
    """Name a job's Celery task, the same for each of its attempts: one row in Flower."""
    return f"job-{job_id}"
