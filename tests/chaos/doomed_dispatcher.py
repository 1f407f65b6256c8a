"""A dispatcher with a mine beside it, which kills it there: MINE says where."""

import os
import signal
import sys

from promptmill.producer.cli.main import main
from promptmill.producer.scheduling import clockwork
from promptmill.producer.webhooks import carrying

WEBHOOK_SENT, BATCH_MADE = "webhook", "schedule"


def killed(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if os.environ.get("MINE") == WEBHOOK_SENT:
        vars(carrying)["close_delivery"] = killed
    if os.environ.get("MINE") == BATCH_MADE:
        vars(clockwork)["end_tick"] = killed
    main(["dispatch", *sys.argv[1:]])
