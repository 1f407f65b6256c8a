"""What one command on a laptop needs and a cluster has: a Redis, and child processes.

`valkey` finds or starts the bundled server; `children` starts workers and a dispatcher that end
with the process that started them.
"""
