-- Extend, or bring back after the store was emptied, the leases of one process.
--
-- KEYS     [3] leases and [4] bookings of the account, as in bookings.lua
-- ARGV     now, lease in us, booking ids ...
-- Result   number of leases of the account
local leases = {}
for i = 3, #ARGV do
  leases[#leases + 1] = now + tonumber(ARGV[2])
  leases[#leases + 1] = ARGV[i]
end
if #leases > 0 then redis.call('ZADD', KEYS[3], unpack(leases)) end
purge()
return redis.call('ZCARD', KEYS[3])
