"""The command line. `main` holds the table of verbs; each verb is a function in its own module.

Data goes to stdout, progress and notes to stderr. Verbs raise errors of `promptmill.schema.errors`,
which `main` renders and turns into exit codes.
"""
