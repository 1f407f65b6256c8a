"""Flower's own configuration file (`--conf`), so that none in the working folder is run.

Flower executes this and takes the names that are options of its own. What is not set here can be
set by FLOWER_… in the environment, such as FLOWER_URL_PREFIX.
"""

import re
from typing import Any

read_only = True
tasks_columns = "uuid,name,args,state,result,runtime,received,worker"  # args tells the attempt
natural_time = True
max_tasks = 20_000  # 5 kB each; what happened before is asked in SQL
purge_offline_workers = 86_400  # seconds; a worker that starts again has another name
inspect_timeout = 5_000.0  # milliseconds
task_runtime_metric_buckets = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0]

_TASK_NAME = "promptmill.complete."
_RETRY = re.compile(r"Retry\(.*JobFailed\((.+)\), ([\d.]+)\)")
_FAILED = re.compile(r"JobFailed\((.+)\)")


def format_task(task: Any) -> Any:
    """Show the provider as the name, and why a task failed or waits where its result would be.

    *task* is a copy of a `celery.events.state.Task`, changed in place.
    """
    task.name = (task.name or "").removeprefix(_TASK_NAME)
    if task.state in ("FAILURE", "RETRY"):
        task.result = _reason(task.exception or "")
    elif task.state == "SUCCESS":
        task.result = _unquoted(task.result or "")
        if not task.result.startswith("ok"):
            task.state = "NO ANSWER"  # the message is done with; the job waits, or others have it
    return task


def _reason(exception: str) -> str:
    """Take the text of our own exception out of what `repr` made of it."""
    if retry := _RETRY.fullmatch(exception):
        return f"{_unquoted(retry[1])}, again in {float(retry[2]):.1f} s"
    failed = _FAILED.fullmatch(exception)
    return _unquoted(failed[1]) if failed else exception


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') and text[-1:] == text[:1] else text
