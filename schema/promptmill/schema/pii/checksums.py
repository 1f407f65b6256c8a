"""The checksums that tell the numbers of cards and accounts from any other digits."""

from ipaddress import ip_address
from typing import Final

# What an IBAN has of characters, by its country: SWIFT's registry of IBANs.
IBAN_LENGTHS: Final = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "FK", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL", "OM", "SO"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    "LC": 32,
    "RU": 33,
}
_AS_NUMBERS: Final = {ord("A") + at: str(10 + at) for at in range(26)}
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card(digits: str) -> bool:
    """Tell whether *digits* begin as cards do (ISO/IEC 7812) and satisfy Luhn's formula."""
    if digits[0] not in "23456" or not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    if digits[0] == "3" and len(digits) not in (14, 15, 16):
        return False
    numbers = [int(one) for one in reversed(digits)]
    total = sum(numbers[::2]) + sum(_DOUBLED[one] for one in numbers[1::2])
    return total % 10 == 0


def is_iban(compact: str) -> bool:
    """Tell whether *compact*, without spaces, has its country's length and leaves 1 by 97."""
    if IBAN_LENGTHS.get(compact[:2]) != len(compact) or not 2 <= int(compact[2:4]) <= 98:
        return False
    return int((compact[4:] + compact[:4]).upper().translate(_AS_NUMBERS)) % 97 == 1


def is_public_address(text: str) -> bool:
    """Tell whether *text* is the address of one machine on the internet."""
    try:
        return ip_address(text).is_global
    except ValueError:
        return False
