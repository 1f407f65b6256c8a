"""Bugs that the machine must find: a test of the test."""

import re
from dataclasses import dataclass

from promptmill.schema.limit_state import places
from promptmill.workers.limits.scripts import NAMES, script_text
from tests.limits.places import (
    BURST,
    FEW,
    FREE,
    NEVER_TOLD,
    ONLY_SHARED,
    POOL,
    SHARED,
    TIGHT,
    UNTOLD,
    WIDE,
    Place,
)

_NAME = re.compile(r"\b[A-Z][A-Z_]+\b")


@dataclass(frozen=True)
class Bug:
    """A change of the scripts, and an account where it shows soon."""

    right: str
    wrong: str = ""
    place: Place = WIDE
    beginning: int = 0
    """which search finds it soon; those before take long"""

    def mutate(self, text: str) -> str:
        """Put the bug into a script."""
        return text.replace(_numbered(self.right), _numbered(self.wrong))

    @property
    def is_somewhere(self) -> bool:
        """Whether there is code that it changes."""
        return any(self.mutate(script_text(each)) != script_text(each) for each in NAMES)


def _numbered(text: str) -> str:
    """Put numbers in place of names, as scripts have them."""
    return _NAME.sub(lambda name: str(places().get(name[0], name[0])), text)


BOOKED = {
    "a pause is ignored": Bug("if left > horizon then", "if false then", FEW),
    "a pause of the account is ignored": Bug(
        "if a > 0 and a >= s then", "if false then", SHARED, beginning=1
    ),
    "only the first bucket is charged": Bug(
        "local function charge(state, costs, start)\n  for place = 1, DIMENSIONS do",
        "local function charge(state, costs, start)\n  for place = 1, 1 do",
    ),
    "the account is not charged": Bug("charge(account, costs, start)", "", SHARED),
    "the account forgets how far it is booked": Bug(
        "account[LAST] = max(account[LAST], start)", "", SHARED
    ),
    "the account is not asked": Bug(
        "if not never and account[LIMITED] > 0 then", "if false then", SHARED
    ),
    "a repeated call books twice": Bug("'NX', start + lease, id) == 0", "start + lease, id) == 2"),
    "a repeated call is refused": Bug(
        "kind ~= 'booked' and kind ~=", "kind == 'again' and kind ~="
    ),
    "a repeated call is never void": Bug("and third - punished < lease and -1", "and false and -1"),
    "the cap is ignored": Bug("if in_flight >= cap then", "if false then", FEW),
    "nobody is noted to wait for a place": Bug(
        "account[CAPPED], account.changed = now + 2000000, true", "", FEW
    ),
    "dead leases live on": Bug("'-inf', now)", "'-inf', 0)", FEW, beginning=13),
    "whom nobody could renew is dead": Bug(
        "if now - account[SEEN] > lease / 2 then", "if false then", FEW, beginning=1
    ),
    "whom nobody could renew lives on": Bug(
        "now + lease / 3, unheard[i]", "now + lease, unheard[i]", FEW, beginning=1
    ),
    "later bookings overtake": Bug("max(now + left, scope[LAST])", "now + left", beginning=5),
    "newcomers overtake": Bug(
        "local is_next = queued <=", "local is_next = turn == 0 or queued <="
    ),
    "a slow model holds its account back": Bug(
        "if late > 250000 or ahead > horizon", "if ahead > horizon", SHARED
    ),
    "an account is booked without end": Bug(" or shared - now > horizon", "", SHARED),
    "the queue is not served": Bug("if turn > served then scope[SERVED] = turn end"),
    "a hint is too long": Bug("min(wait, horizon * longest)", "wait", TIGHT),
    "the day is not counted": Bug("used + cost > limit", "false", FEW),
    "the day begins at midnight UTC": Bug("floor((clock - offset) /", "floor(clock /", FEW),
    "too large waits for ever": Bug("if least > limit then", "if false then", TIGHT),
    "everybody is tried at once": Bug("if scope[HOLD] - now > left then", "if false then"),
}
PACED = {
    "a minute may burst": Bug("or 250000)", "or 60000000)"),
    "a burst that is told is ignored": Bug(
        "burst_us > 0 and burst_us", "false and burst_us", BURST
    ),
    "a burst that is told costs rate": Bug(
        "if burst_us == 0 then spare", "if true then spare", BURST
    ),
    "an oversize request costs no rate": Bug(
        "if cost > state[DEPTH + place] and cost > state[BIG + place] then", "if false then"
    ),
    "debt is time": Bug("if old > 0 and old ~= rate and at > from then", "if false then"),
    "a pause is stretched by a cut": Bug(
        "max(now, state[LAST], scope[PAUSE])", "max(now, state[LAST])"
    ),
    "headers raise a limit": Bug("(limits[place] == 0 or told < limits[place])", "true"),
    "what was booked without a limit is sent": Bug(
        "if comes_up and state[PACED] > 0 then", "if false then", UNTOLD
    ),
    "a model without limits is not cut": Bug(
        "if not own_minute and scope[CUT] < 1 then", "if false then", ONLY_SHARED
    ),
    "what an account accepts is not known": Bug("own > 0 and own or shared", "own", ONLY_SHARED),
    "probing never ends": Bug(
        "scope[PROBE], scope[ACCEPTED], scope[ACCEPTED_SINCE] = 0, 0, 0", "", UNTOLD
    ),
    "a clock gone back is believed": Bug("now = clock + account[SKEW]", "now = clock"),
    "a confirmation keeps no time": Bug(
        "if scope then redis.call('SETRANGE', KEYS[1], (SEEN - 1) * 8, struct.pack('<d', now)) end",
        "",
        TIGHT,
        beginning=9,
    ),
    "a clock gone back stops time": Bug("account[SKEW] = account[SKEW] + seen - now"),
}
CLOSED = {
    "a pause does not stop what is booked": Bug("and paused() == 0", "", FEW, beginning=4),
    "void bookings are sent": Bug("if open and is_current(record)", "if open", FEW, beginning=1),
    "late bookings are sent": Bug("and now - record[4] <= late", beginning=1),
    "who is on time is late": Bug(
        "and redis.call('ZSCORE', KEYS[3], record[1]) then",
        "and redis.call('ZADD', KEYS[3], 'XX', 'CH', now + lease, record[1]) == 1 then",
    ),
    "a call is settled twice": Bug(
        "if redis.call('ZREM', KEYS[3], record[1]) == 0 then return 0 end\n  if #actuals",
        "redis.call('ZREM', KEYS[3], record[1])\n  if #actuals",
    ),
    "what is cancelled stays charged": Bug("recharge(scope, record, place, 0, offset)"),
    "the account does not get back what is cancelled": Bug(
        "recharge(account, record, place, 0, offset)", "", SHARED
    ),
    "a void booking is recharged": Bug("elseif is_current(record) or", "elseif true or"),
    "the account keeps what is void": Bug(
        "or state == account and record[3] == account[EPOCH] then", "then", SHARED
    ),
    "yesterday is given back today": Bug(
        "floor((record[4] - account[SKEW] - offset) /",
        "floor((clock - offset) /",
        FEW,
    ),
    "any cancelled booking was the latest": Bug("and record[5] == scope[SERIAL] then", "then"),
    "nothing is learned": Bug("if answers[i] == 1 and #settlement[2] > 0 then", "if false then"),
    "what is tried grows although nothing holds it": Bug(
        "if scope[AT + 1] > now then", "if true then", NEVER_TOLD
    ),
    "what was refused is forgotten": Bug("if scope[CEILING] > 0 then", "if false then", NEVER_TOLD),
    "an answer changes nothing": Bug("scope[STREAK], scope[HOLD] = 0, 0"),
}
PUNISHED = {
    "no cut after a refusal": Bug("scope[CUT], scope[CUT_AT], scope[RECOVER] = less, now, recover"),
    "a cut that was of no use is kept": Bug("less = scope[UNCUT]", "", FREE, beginning=3),
    "a cut is taken back at once": Bug("if held >= 3000000 and", "if", FREE, beginning=30),
    "every cut is taken back": Bug("and m <= scope[PROVEN] and", "and"),
    "a cut for too fast a rise is taken back": Bug("and not rise then", "then", FREE, beginning=6),
    "what is accepted is proven at once": Bug("age >= 10000000 and share or 0", "share"),
    "only an answer tells of acceptance": Bug("if held >= 1000000 then", "if false then"),
    "a refusal that takes long proves the calls before it": Bug(
        "- 2 * (now - sent) end", "end", beginning=3
    ),
    "a plan takes over what another proved": Bug(
        "= now, scope[SERIAL] + 1, 0", "= now, scope[SERIAL] + 1, scope[FIRST]"
    ),
    "the calls of one plan are punished one by one": Bug(
        "episode = plan == scope[PLAN] + account[PLAN] and epoch == account[EPOCH]", ""
    ),
    "nobody is void": Bug("target[PLAN], target[PUNISHED] = target[PLAN] + 1, now"),
    "others' bookings are void too": Bug(
        "local own = leases[i]:sub(1, #prefix) == prefix", "local own = true", SHARED
    ),
    "what was void is void again": Bug("if own or whole then redis", "if false then redis"),
    "what was sent is forgiven": Bug(
        "state[AT + place] = min(state[AT + place], unsent + full)",
        "state[AT + place] = unsent - full",
    ),
    "buckets are full after a pause": Bug(
        "state[AT + place] = max(state[AT + place], till + full)", "", BURST
    ),
    "who is resumed owes for the pause": Bug(
        "if scope and scope[PAUSE] > now then", "if false then"
    ),
    "a store that is known is told again": Bug(
        "if not account then\n  account = begin", "do\n  account = begin", ONLY_SHARED
    ),
    "what was learned is told again": Bug(
        "and redis.call('EXISTS', KEYS[4]) == 0 then", "then", POOL
    ),
    "what was used today is not told": Bug(
        "state[USED + place], state[DAY + place] = used[place],",
        "state[USED + place], state[DAY + place] = 0,",
        FEW,
    ),
}
SEEDED_BUGS = BOOKED | PACED | CLOSED | PUNISHED
