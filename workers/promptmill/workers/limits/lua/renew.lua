-- Extend, or bring back after the store was emptied, the leases of one process.
--
-- KEYS     [3] leases and [4] bookings of the account, as in bookings.lua
-- ARGV     as in state.lua; own arguments: lease in us, booking ids
-- Result   number of leases of the account
local lease, ids = unpack(unpacked(ARGV[3]))
local leases = {}
for i = 1, #ids do
  leases[2 * i - 1], leases[2 * i] = now + lease, ids[i]
end
if #ids > 0 then redis.call('ZADD', KEYS[3], unpack(leases)) end
purge()
return redis.call('ZCARD', KEYS[3])
