"""The cases of `./run bench limits`, one a file, and what they share.

Shared: `plan` (how long), `store` (a Valkey), `processes`, `turns`
(the limiter as a worker uses it), `crowd` (waiters), `replay` (strict servers).
"""

import sys

import structlog

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for JSON
