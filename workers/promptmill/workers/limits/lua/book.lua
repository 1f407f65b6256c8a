-- Book starts for a list of requests of one scope, in their order.
--
-- KEYS     as in bookings.lua
-- ARGV     as in state.lua; own arguments: epoch for an empty store, in-flight cap, lease in us,
--          longest hint in parts of the horizon, requests: each a list of id, horizon in us,
--          turn (0 = new), costs (estimates) and least costs (what is certain) by place
-- Result   {epoch, now, plan, answers}, integers, times in us; an answer is one of
--          {'booked', start, plan, costs}       send at start
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
local dims, m = read_dims(scope)
local epoch, cap, lease, longest, requests = unpack(unpacked(ARGV[3]))
local left, why = paused(scope, account)
local plan = plan_of(scope, account)

if not account.epoch or not scope.tag then
  account.epoch = account.epoch or epoch
  account.scopes = (account.scopes or 0) + 1
  scope.tag = account.scopes
  write(KEYS[2], account)
end

local in_flight = redis.call('ZCARD', KEYS[3])
if in_flight + #requests > cap then
  purge()
  in_flight = redis.call('ZCARD', KEYS[3])
end

local function new_turn(turn, own)
  if turn > 0 then return turn end
  scope.queued = ceil(max(scope.queued or 0, scope.served or 0) + own * m)
  return scope.queued
end

-- -> earliest start; the same without the request's own need; us of work it brings;
--    an answer if it cannot be booked today or ever. Fills in `costs` as they will be charged.
local function plan_start(estimates, least, costs)
  local base = max(now + left, scope.last or 0)
  local start, own, never = base, 0, nil
  for i = 1, #dims do
    local dim = dims[i]
    local place, limit = dim.place, dim.limit
    if least[place] > limit then
      return 0, 0, 0, {'large', dim.name, ceil(least[place]), floor(limit)}
    end
    local cost = min(ceil(estimates[place] * ratio(dim)), floor(limit))
    costs[place] = cost
    if dim.day then
      local day = day_of(dim, now)
      if used_on(dim, day) + cost > limit then
        never = {'day', ceil((day + 1) * dim.window + dim.offset - now), 0, dim.name}
      end
    else
      local rate, depth, at = dim.rate, dim.depth, dim.state.at or 0
      local full = at - depth / rate
      local ready = full + min(cost, depth) / rate
      if cost / rate > own then own = cost / rate end
      if full > base then base = full end
      if ready > start then start = ready end
    end
  end
  return ceil(start), base, own, never
end

local function charge(costs, start)
  for i = 1, #dims do
    local dim = dims[i]
    local cost, state = costs[dim.place], dim.state
    if dim.day then
      local day = max(day_of(dim, start), state.day or 0)
      state.used, state.day = used_on(dim, day) + cost, day
    else
      state.at = max(state.at or 0, start) + cost / dim.rate
      state.big = max(cost, (state.big or 0) * 0.999)
      set_pace(dim, m, start)
    end
  end
end

-- May a request with this turn book now, when `ahead` us are booked already?
local function is_next(turn, ahead, horizon)
  if ahead <= horizon / 2 then return true end
  if ahead > horizon then return false end
  local served = scope.served or 0
  if turn == 0 then return (scope.queued or 0) <= served end
  return (turn - served) / m <= horizon - ahead
end

local records, leases = {}, {}

local function book(id, horizon, turn, estimates, least)
  local costs = {}
  for place = 1, #estimates do costs[place] = 0 end
  local start, base, own, never = plan_start(estimates, least, costs)
  if never and never[1] == 'large' then return never end
  if left > horizon then return {'paused', ceil(left), new_turn(turn, own), why} end
  if never then
    never[3] = turn
    return never
  end
  local ahead = base - now
  if not is_next(turn, ahead, horizon) then
    turn = new_turn(turn, own)
    local wait = max((turn - (scope.served or 0)) / m + ahead - horizon, own / 2)
    return {'turn', ceil(min(wait, horizon * longest)), turn}
  end
  if in_flight >= cap then return {'cap', 0, turn} end
  in_flight = in_flight + 1
  if turn > (scope.served or 0) then scope.served = turn end
  local n = #leases
  leases[n + 1], leases[n + 2] = start + lease, id
  records[n + 1], records[n + 2] = id, pack({start, plan, scope.last or 0, costs, scope.tag})
  charge(costs, start)
  scope.last, scope.latest = start, id
  return {'booked', start, plan, costs}
end

local ids, answers = {}, {}
for i = 1, #requests do ids[i] = requests[i][1] end
local had = redis.call('HMGET', KEYS[4], unpack(ids))
for i = 1, #requests do
  if had[i] then  -- the same call again (a client repeats after a time-out): booked once, same answer
    local record = unpacked(had[i])
    answers[i] = {'booked', record[1], record[2], record[4]}
  else
    answers[i] = book(unpack(requests[i]))
  end
end
if #records > 0 then
  redis.call('HSET', KEYS[4], unpack(records))
  redis.call('ZADD', KEYS[3], unpack(leases))
end
write(KEYS[1], scope)
return pack({account.epoch, now, plan, answers})
