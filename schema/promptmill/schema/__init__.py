"""The contract: all that producers and workers must agree on.

Open in this order: `states` and `outcomes` (what can happen to a job), `tables`, `views` and
`triggers` (how SQL holds it), `moves` (every state change, fenced), `hint` (what travels through
Celery), `settings`, `errors`.
"""
