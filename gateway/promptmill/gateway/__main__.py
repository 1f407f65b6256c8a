"""`python -m promptmill.gateway HOST PORT`: what `promptmill serve` becomes."""

import sys

from promptmill.gateway.server import serve
from promptmill.schema.errors import PromptmillError
from promptmill.schema.settings import load_settings

if __name__ == "__main__":
    try:
        serve(load_settings(), host=sys.argv[1], port=int(sys.argv[2]))
    except PromptmillError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
