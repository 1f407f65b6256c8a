-- Forget dead leases, and those an hour ahead: nobody has such. What died while nobody was heard of
-- may be alive: where the store hung no worker could renew. It gets time for a few beats.
if now - account[SEEN] > lease / 2 then
  local unheard = redis.call('ZRANGEBYSCORE', KEYS[3], account[SEEN], now)
  for i = 1, #unheard do redis.call('ZADD', KEYS[3], 'XX', now + lease / 3, unheard[i]) end
  account.changed = true
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + 3600000000, '+inf')
