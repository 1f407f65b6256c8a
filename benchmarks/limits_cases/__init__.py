"""The cases of `./run bench limits`, one a file, and what they share.

Shared: `plan` (how long), `store` (a Valkey), `processes`, `turns`
(the limiter as a worker uses it), `crowd` (waiters), `replay` (strict servers).
"""
