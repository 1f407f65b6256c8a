"""What SQL keeps of a reply."""

import base64

from promptmill.schema.outcomes import Usage
from promptmill.schema.prices import PriceList
from promptmill.workers.attempted import attempted_of, unstorable
from promptmill.workers.providers.base import Answer

ANSWER = Answer(text="four \ud83d", finish_reason="stop", usage=Usage(1_000_000, 100_000))
PRICES = PriceList("openai")


def test_what_could_not_be_stored_is_kept_with_all_that_it_cost() -> None:
    kept = unstorable(
        ANSWER,
        ValueError("secret"),
        price_list=PRICES,
        model="gpt-4o-mini",
        latency_s=0.5,
    )
    stored = attempted_of(ANSWER, price_list=PRICES, model="gpt-4o-mini", latency_s=0.5)
    assert (kept.usage, kept.cost_micros) == (stored.usage, stored.cost_micros)
    assert kept.cost_micros == 150_000 + 60_000
    assert kept.latency_ms == 500
    assert kept.error_text == "what came could not be stored: ValueError"
    assert base64.b64decode(kept.body_base64 or "") == b"four \xed\xa0\xbd"
