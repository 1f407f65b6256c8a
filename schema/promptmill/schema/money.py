"""Amounts of money, as people read them."""


def dollars(micros: float) -> str:
    """Write a cost with at least two digits that tell: $1,204.50, $0.031, $0.00042."""
    usd = micros / 1e6
    if usd >= 1 or not usd:
        return f"${usd:,.2f}"
    digits = next((n for n in range(3, 8) if usd >= 10 ** (1 - n)), 8)
    return f"${usd:.{digits}f}"
