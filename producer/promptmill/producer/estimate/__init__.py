"""What a batch will cost, and what it may cost.

`forecast` estimates tokens and cost, `duration` the time at the known limits. `budgets` reads what
a person allows and refuses what could not be kept.
"""
