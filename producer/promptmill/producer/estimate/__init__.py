"""What a batch will cost, and what it may cost.

`budgets` reads what a person allows and refuses what could not be kept.
"""
