-- Book starts for a list of requests of one scope, in their order.
--
-- KEYS     as in state.lua
-- ARGV     [2] own arguments, doubles: number of the spec, that of its account's part, in-flight
--          cap, lease in us, longest hint in parts of the horizon, begin of the day in us after
--          midnight UTC; then for each request: horizon in us, turn (0 = new), costs (estimates)
--          by dimension, least costs (what is certain) by dimension
--          [3] spec, see pace.lua
--          [4 ...] the ids of the requests
-- Result   {} = tell first what is known of the scope (seed.lua); else one flat list: epoch, now,
--          plan, and for each request, times in us:
--          'booked', start, serial, start before it     send at start; serial 0: this call had booked
--                                        it before, -1: and it may be void since
--          'turn', wait, turn, ''        beyond the horizon: come back after `wait` with `turn`
--          'paused', wait, turn, why
--          'day', wait, turn, place      a day's limit is used up until its reset
--          'cap', 0, turn, ''            no lease is free: wait to be told
--          'large', place, cost, limit   never: larger than the limit itself
--
-- A bucket is full again at `at`; its level at t is depth - max(0, at - t) * rate. All dimensions,
-- of the scope and of the account, share one start: the earliest at which each bucket holds
-- min(cost, depth), not before the latest booked start. That is an exact FIFO simulation of the
-- token buckets, in as many steps as there are dimensions.
-- Nothing is booked beyond the request's horizon, so that refunds still find takers: who comes
-- later gets a turn, its place in the work queued, and keeps it itself (a dead caller leaves nothing).
-- When less than half the horizon is booked anybody may book: no idling while someone waits.

-- include state.lua
local SHORTLY_US = 250000
local PROBE_HORIZON_US = 250000  -- what is booked at a rate that grows would hold later starts back
if not scope or not account then return pack({}) end
local spec, shared_spec, cap, lease, longest, offset = struct.unpack('<dddddd', ARGV[2])
if scope[SPEC] ~= spec or account[SPEC] ~= shared_spec or now - scope[PACED] > 1000000 then
  -- include pace.lua
end
-- include pause.lua
local today = floor((clock - offset) / DAY_US)
local in_flight = redis.call('ZCARD', KEYS[3])
if in_flight + #ARGV - 3 > cap then
  -- include purge.lua
  in_flight = redis.call('ZCARD', KEYS[3])
end

-- What a request needs of one state's limits: the latest of `start`, `base` (start without its own
-- need) and `own` (us of work it brings), each over the buckets; and an answer if it cannot be
-- booked today, or ever. `costs` has the least costs behind the costs.
local function fit(state, costs, start, base, own)
  local day_over
  for place = 1, DIMENSIONS do
    local limit = state[LIMIT + place]
    if limit > 0 then
      local cost = costs[place]
      if cost > limit then
        local least = costs[place + DIMENSIONS]
        if least > limit then return 0, 0, 0, {'large', place, least, floor(limit)} end
        cost = limit
      end
      if place <= MINUTES then
        local rate, depth = state[RATE + place], state[DEPTH + place]
        local full, need = state[AT + place] - depth / rate, cost / rate
        local ready = full + (cost < depth and need or depth / rate)
        if need > own then own = need end
        if full > base then base = full end
        if ready > start then start = ready end
      else
        -- an earlier day (the clock went back) is the same day
        local used = state[DAY + place] >= today and state[USED + place] or 0
        if used + cost > limit then
          day_over = {'day', (today + 1) * DAY_US + offset - clock, 0, place}
        end
      end
    end
  end
  return start, base, own, day_over
end

local function charge(state, costs, start)
  for place = 1, DIMENSIONS do
    local limit = state[LIMIT + place]
    if limit > 0 then
      local cost = min(costs[place], limit)
      if place > MINUTES then
        if state[DAY + place] < today then
          state[USED + place], state[DAY + place], state.changed = 0, today, true
        end
        state[USED + place] = state[USED + place] + cost
      else
        if cost > state[DEPTH + place] and cost > state[BIG + place] then
          state[BIG + place], state[SPEC], state.changed = cost, 0, true  -- paced anew by the next
        end
        state[AT + place] = max(state[AT + place], start) + cost / state[RATE + place]
      end
    end
  end
end

local function new_turn(turn, own)
  if turn > 0 then return turn end
  scope[QUEUED] = ceil(max(scope[QUEUED], scope[SERVED]) + own * scope[CUT])
  return scope[QUEUED]
end

local function book(id, horizon, turn, costs)
  if scope[PROBE] > 0 then horizon = min(horizon, PROBE_HORIZON_US) end
  local left, why = paused()
  if scope[HOLD] - now > left then left, why = scope[HOLD] - now, 'one call is tried' end
  local first = max(now + left, scope[LAST])
  local start, base, own, never = fit(scope, costs, first, first, 0)
  local late, shared = 0, now
  if not never and account[LIMITED] > 0 then
    local soonest
    soonest, shared, own, never = fit(account, costs, now + left, now + left, own)
    start = max(start, soonest)
    late = start - soonest
  end
  if never and never[1] == 'large' then return unpack(never) end
  if left > horizon then return 'paused', ceil(left), new_turn(turn, own), why end
  if never then return never[1], never[2], turn, never[4] end

  -- May it book now, when `ahead` us of the scope are booked already, and the account until `shared`?
  -- A start that is `late`, as the scope's own limits put it off, is booked shortly before only: what
  -- the account could do until then would be lost to its other models.
  local ahead, served = base - now, scope[SERVED]
  local queued = turn == 0 and scope[QUEUED] - served or (turn - served) / scope[CUT]
  local is_next = queued <= (turn == 0 and 0 or horizon - ahead)
  if late > SHORTLY_US or ahead > horizon or shared - now > horizon
      or not is_next and (ahead > horizon / 2 or turn == 0 and late > SHORTLY_US / 2) then
    turn = new_turn(turn, own)
    local soon = min(own, SHORTLY_US) / 2
    local wait = max((turn - served) / scope[CUT] + ahead - horizon, shared - now - horizon, soon)
    if late > SHORTLY_US then wait = late - SHORTLY_US / 2 end
    return 'turn', ceil(min(wait, horizon * longest)), turn, ''
  end
  if in_flight >= cap then
    if account[CAPPED] < now + 1000000 then
      account[CAPPED], account.changed = now + 2000000, true
    end
    return 'cap', 0, turn, ''
  end
  start = ceil(start)
  if redis.call('ZADD', KEYS[3], 'NX', start + lease, id) == 0 then return 'again' end
  in_flight = in_flight + 1
  if turn > served then scope[SERVED] = turn end
  if scope[FIRST] == 0 then scope[FIRST], scope.changed = start, true end
  charge(scope, costs, start)
  if account[LIMITED] > 0 then
    charge(account, costs, start)
    account[LAST] = max(account[LAST], start)
  end
  local before = scope[LAST]
  scope[LAST], scope[SERIAL] = start, scope[SERIAL] + 1
  if scope[STREAK] > 1 then  -- all were refused of late: see what comes of this one
    scope[HOLD], scope.changed = start + min(30000000, 1000000 * 2 ^ (scope[STREAK] - 1)), true
  end
  return 'booked', start, scope[SERIAL], before
end

-- Most of a state stays as it was.
local function write_hot(key, state)
  if state.changed then return write(key, state) end
  state[SEEN] = now
  redis.call('SETRANGE', key, 0, struct.pack('FORMAT_HOT', unpack(state, 1, HOT)))
end

local result = {account[EPOCH], now, scope[PLAN] + account[PLAN]}
for i = 4, #ARGV do
  local n, at = #result, 49 + (i - 4) * 112
  local horizon, turn = struct.unpack('<dd', ARGV[2], at)
  local costs = {struct.unpack('<dddddddddddd', ARGV[2], at + 16)}
  local kind, first, second, third = book(ARGV[i], horizon, turn, costs)
  local expiry = kind ~= 'booked' and kind ~= 'large' and redis.call('ZSCORE', KEYS[3], ARGV[i])
  if expiry then
    -- The same call again (its answer was lost): booked once. Its plan may have been voided since.
    local punished = max(scope[PUNISHED], account[PUNISHED])
    kind, first, third = 'booked', expiry - lease, expiry - lease
    second = punished > 0 and third - punished < lease and -1 or 0
  end
  result[n + 1], result[n + 2], result[n + 3], result[n + 4] = kind, first, second, third
end
write_hot(KEYS[1], scope)
if account.changed or account[LIMITED] > 0 then write_hot(KEYS[2], account) end
return pack(result)
