-- Extend, or bring back after the store was emptied, the leases of calls under way of one process.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: lease in us, booking ids
-- Result   number of leases of the account

-- include state.lua
local lease, ids = unpack(unpacked(ARGV[2]))
local leases = {}
for i = 1, #ids do
  leases[2 * i - 1], leases[2 * i] = now + lease, ids[i]
end
if #ids > 0 then
  redis.call('ZADD', KEYS[3], unpack(leases))
  -- include seen.lua
end
if account then
  -- include purge.lua
  redis.call('SETRANGE', KEYS[2], (SEEN - 1) * 8, struct.pack('<d', now))
end
return pack(redis.call('ZCARD', KEYS[3]))
