"""`python -m promptmill.workers`: as `celery -A promptmill.workers worker`, for less CPU.

The `celery` command imports every command that is installed for it, and so all of Flower.
"""

import sys

from celery.bin.base import CLIContext
from celery.bin.worker import worker

from promptmill.workers import app


def main() -> None:
    """Run a worker with Celery's own options."""
    context = CLIContext(app=app, no_color=False, workdir=None)
    worker.main(sys.argv[1:], prog_name="promptmill.workers", obj=context)


if __name__ == "__main__":
    main()
