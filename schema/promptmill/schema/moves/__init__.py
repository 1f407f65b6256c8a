"""Every write to a job, each one statement with the expected state and fence in its WHERE.

`loading` makes jobs, `queueing` hints them, `claiming` takes them, `closing` ends an attempt
(`endings` says how, `storing` keeps its answer),
`backgrounds` remembers what the provider still makes for one, `rescuing` takes them from a dead
worker, `rerouting` lets them fall back to another model, `steering` is what a person orders.
"""
