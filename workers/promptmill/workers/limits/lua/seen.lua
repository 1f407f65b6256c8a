-- Keep the time by which a lease was set: the account's clock is not to go back behind it.
if scope then redis.call('SETRANGE', KEYS[1], (SEEN - 1) * 8, struct.pack('<d', now)) end
