"""THE FRONT DOOR: OpenAI's Files, Batches and calls over HTTP, for every provider behind it.

A batch of a client is a batch of ours: the same rows, limits, budget and views. Open in this order:
`server` (what runs), `app` (its routes), `door` (who comes in), `routes` (what is answered), then
`keeping` (what goes on when nobody asks: validation, files of answers, ends).
"""
