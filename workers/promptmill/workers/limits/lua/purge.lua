-- Forget dead leases, and those an hour ahead: nobody has such.
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + 3600000000, '+inf')
