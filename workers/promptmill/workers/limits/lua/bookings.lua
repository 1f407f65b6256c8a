-- Records of what is booked or in flight.
--
-- KEYS[1]  scope state    KEYS[2]  account state
-- KEYS[3]  leases of the account: zset booking id -> expiry, us
-- KEYS[4]  bookings of the account: hash booking id -> msgpack {start, plan, start before it, costs,
--          tag of the scope}
--
-- A lease counts against the in-flight cap; it dies with its worker, and its record with it.
local FAR_US = 3600 * 1000000

local function find(id)
  local raw = redis.call('HGET', KEYS[4], id)
  return raw and unpacked(raw)
end

-- -> true the first time only
local function close(id)
  redis.call('ZREM', KEYS[3], id)
  return redis.call('HDEL', KEYS[4], id) == 1
end

local function forget(from, to)
  local dead = redis.call('ZRANGEBYSCORE', KEYS[3], from, to, 'LIMIT', 0, 500)
  if #dead > 0 then
    redis.call('ZREM', KEYS[3], unpack(dead))
    redis.call('HDEL', KEYS[4], unpack(dead))
  end
end

-- Forget dead leases, and those that a clock gone back left an age ahead.
local function purge()
  forget('-inf', now)
  forget(now + FAR_US, '+inf')
end

-- Give the permits of an unused booking back. Those of an older plan are void: its buckets were set anew.
local function give_back(scope, account, dims, id, record)
  if not close(id) then return end
  local start, before, costs = record[1], record[3], record[4]
  local current = record[2] == plan_of(scope, account)
  for i = 1, #dims do
    local dim = dims[i]
    if current or dim.day then recharge(dim, start, -costs[dim.place]) end
  end
  if current and scope.latest == id then scope.last = before end
  write(KEYS[1], scope)
end
