-- Let a request in, or say how long to wait: a tenant's requests a minute, over all gateways.
--
-- KEYS     1: the tenant's
-- ARGV     1: microseconds between two requests  2: how many may come at once
-- Result   microseconds to wait; 0: it is let in, and counts

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
-- When the last of those that were let in is due, were they to come one by one.
local due = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local wait = due - (burst - 1) * each - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', due + each), 'PX', math.ceil(burst * each / 1000) + 1000)
return 0
