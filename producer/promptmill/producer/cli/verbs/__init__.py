"""What can be typed: the arguments and the help of each verb, by what it is for.

Nothing heavy is imported here, so `--help` comes at once; who does it is imported when it is done.
"""
