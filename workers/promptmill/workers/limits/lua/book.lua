-- Book starts for a list of requests of one scope, in their order.
--
-- KEYS     as in bookings.lua
-- ARGV     now and dimensions (state.lua, pace.lua), then
--          epoch for an empty store, in-flight cap, lease in us, longest hint in parts of the horizon,
--          then for each request: id, horizon in us, turn (0 = new), and for each dimension
--          cost (estimate) and least (what it costs for certain)
-- Result   {epoch, now, plan, one list a request ...}, integers, times in us:
--          {'booked', start, plan, cost ...}    send at start
--          {'turn', wait, turn}                 beyond the horizon: come back after `wait` with `turn`
--          {'paused', wait, turn, why}
--          {'day', wait, turn, dimension}       a day's limit is used up until its reset
--          {'cap', wait, turn}                  no lease is free
--          {'large', dimension, cost, limit}    never: larger than the limit itself
--
-- A bucket is full again at `at`; its level at t is depth - max(0, at - t) * rate. All dimensions
-- share one start: the earliest at which each bucket holds min(cost, depth), not before the latest
-- booked start. That is an exact FIFO simulation of n token buckets in O(n).
-- Nothing is booked beyond the request's horizon, so that refunds still find takers: who comes
-- later gets a turn, its place in the work queued, and keeps it itself (a dead caller leaves nothing).
-- When less than half the horizon is booked anybody may book: no idling while someone waits.
local scope, account = read(KEYS[1]), read(KEYS[2])
local dims, arg = read_dims(scope)
local cap, lease, patience = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
local width = 3 + 2 * #dims
local first, count = arg + 4, (#ARGV - arg - 3) / width
local m = multiplier(scope)
local left, why = paused(scope, account)

if not account.epoch then
  account.epoch = ARGV[arg]
  write(KEYS[2], account)
end
local plan = plan_of(scope, account)

local in_flight = redis.call('ZCARD', KEYS[3])
if in_flight + count > cap then
  purge()
  in_flight = redis.call('ZCARD', KEYS[3])
end

local function new_turn(turn, own)
  if turn > 0 then return turn end
  scope.queued = math.ceil(math.max(scope.queued or 0, scope.served or 0) + own * m)
  return scope.queued
end

-- -> costs, or nil and a 'large' answer
local function scaled(a)
  local costs = {}
  for i, dim in ipairs(dims) do
    local cost, least = tonumber(ARGV[a + 2 * i - 2]), tonumber(ARGV[a + 2 * i - 1])
    if not dim.limit then
      cost = 0
    elseif least > dim.limit then
      return nil, {'large', dim.name, math.ceil(least), math.floor(dim.limit)}
    else
      cost = math.min(math.ceil(cost * ratio(dim)), math.floor(dim.limit))
    end
    costs[i] = cost
  end
  return costs
end

-- -> start; start without the request's own need; us of work it brings; a 'day' answer if one is used up
local function plan_start(costs)
  local base = math.max(now + left, scope.last or 0)
  local start, own, spent = base, 0, nil
  for i, dim in ipairs(dims) do
    local cost = costs[i]
    if not dim.limit then
      cost = 0
    elseif dim.kind == 'day' then
      local day = day_of(dim, now)
      if used_on(dim, day) + cost > dim.limit then
        spent = {'day', math.ceil((day + 1) * dim.window + dim.offset - now), 0, dim.name}
      end
    else
      local at = dim.state.at or 0
      own = math.max(own, cost / dim.rate)
      base = math.max(base, at - dim.depth / dim.rate)
      start = math.max(start, at + (math.min(cost, dim.depth) - dim.depth) / dim.rate)
    end
  end
  return math.ceil(start), base, own, spent
end

local function charge(costs, start)
  for i, dim in ipairs(dims) do
    local cost, state = costs[i], dim.state
    if dim.limit and dim.kind == 'day' then
      local day = math.max(day_of(dim, start), state.day or 0)
      state.used = used_on(dim, day) + cost
      state.day = day
    elseif dim.limit then
      state.at = math.max(state.at or 0, start) + cost / dim.rate
      state.big = math.max(cost, (state.big or 0) * 0.999)
      set_pace(dim, m)
    end
  end
end

local records, leases = {}, {}

local function book(id, horizon, turn, a)
  local costs, large = scaled(a)
  if not costs then return large end
  local start, base, own, spent = plan_start(costs)
  local ahead, served = base - now, scope.served or 0
  if left > horizon then
    return {'paused', math.ceil(left), new_turn(turn, own), why}
  end
  if spent then
    spent[3] = turn
    return spent
  end
  local fits = ahead <= horizon / 2
  if not fits and ahead <= horizon then
    if turn == 0 then
      fits = (scope.queued or 0) <= served
    else
      fits = (turn - served) / m <= horizon - ahead
    end
  end
  if not fits then
    turn = new_turn(turn, own)
    local wait = math.max((turn - served) / m + ahead - horizon, own / 2)
    return {'turn', math.ceil(math.min(wait, horizon * patience)), turn}
  end
  if in_flight >= cap then return {'cap', 0, turn} end
  if turn > served then scope.served = turn end
  in_flight = in_flight + 1
  local record = {start, plan, scope.last or 0, unpack(costs)}
  records[#records + 1] = id
  records[#records + 1] = cmsgpack.pack(record)
  leases[#leases + 1] = start + lease
  leases[#leases + 1] = id
  charge(costs, start)
  scope.last = start
  return {'booked', start, plan, unpack(costs)}
end

local ids, reply = {}, {account.epoch, now, plan}
for i = 1, count do ids[i] = ARGV[first + (i - 1) * width] end
local had = redis.call('HMGET', KEYS[4], unpack(ids))
for i = 1, count do
  local a = first + (i - 1) * width
  if had[i] then  -- the same call again (a client repeats after a time-out): booked once, same answer
    local record = cmsgpack.unpack(had[i])
    reply[3 + i] = {'booked', record[1], record[2], unpack(record, 4)}
  else
    reply[3 + i] = book(ids[i], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), a + 3)
  end
end
if #records > 0 then
  redis.call('HSET', KEYS[4], unpack(records))
  redis.call('ZADD', KEYS[3], unpack(leases))
end
write(KEYS[1], scope)
return reply
