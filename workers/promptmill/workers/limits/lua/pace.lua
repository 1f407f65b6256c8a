-- How fast a scope may go. Paces are kept in the states, and computed anew once a second and when
-- something changed.
--
-- A bucket is paced: its depth is a quarter second of the limit, a larger request waits for a full
-- bucket and goes into debt. What the largest request may take at once is taken off the rate, so
-- that no window of any shape holds more than the limit. Where the provider's own bucket is told to
-- be deeper, depth is four fifths of that (calls come late by up to a fifth of a second, and the first
-- one may be the latest), and nothing is taken off.
--
-- A model that has no limit of its own gets the account's while it is cut: else a refusal would slow
-- nobody down. A limit that comes up begins a new plan: bookings made without it are void, and what
-- was sent is not corrected in a bucket that it was not charged in.
--
-- A spec, what a worker was configured with: {burst in us (0 = not told), limits of the scope by
-- dimension (0 = none), limits of the account}. The account's part has a number of its own: models
-- that differ would else pace their account anew with each call.
local MINUTE_US = 60000000
local DEPTH_US, SAFETY = 250000, 0.995
local PROBE_START = 600  -- requests a minute, while no limit is known

-- Debt is tokens, not time: from now, or the latest booked start, it drains at the new rate. While
-- there is a pause nothing is booked before its end: buckets are set for that instant.
local function set_rate(state, place, rate)
  local old, at = state[RATE + place], state[AT + place]
  local from = max(now, state[LAST], scope[PAUSE])
  if old > 0 and old ~= rate and at > from then
    state[AT + place] = from + (at - from) * old / rate
  end
  state[RATE + place] = rate
end

local function pace_bucket(state, place, m, burst_us)
  local limit = state[LIMIT + place]
  local depth, spare = limit * (burst_us > 0 and burst_us * 0.8 or DEPTH_US) / MINUTE_US, 0
  local whole = place == 1  -- requests come whole: one is always the next window's
  if whole and depth < 1 then depth = 1 end
  if burst_us == 0 then spare = whole and depth - 1 or max(depth, state[BIG + place]) end
  state[DEPTH + place] = depth
  set_rate(state, place, max(limit * SAFETY - spare, limit / 2) / MINUTE_US * m)
end

-- Lower limits to what headers told. -> whether there is one by the minute, by the day
local function lower(limits, state)
  local minute, day = false, false
  for place = 1, DIMENSIONS do
    local told = state[TOLD + place]
    if told > 0 and (limits[place] == 0 or told < limits[place]) then limits[place] = told end
    if limits[place] > 0 then
      if place <= MINUTES then minute = true else day = true end
    end
  end
  return minute, day
end

local function set_limits(state, limits)
  local comes_up = false
  for place = 1, DIMENSIONS do
    if place <= MINUTES and limits[place] > 0 and state[LIMIT + place] == 0 then comes_up = true end
    state[LIMIT + place] = limits[place]
  end
  if comes_up and state[PACED] > 0 then
    state[PLAN], state[PUNISHED], state[FIRST] = state[PLAN] + 1, now, 0
  end
end

local function pace_state(state, m, burst_us)
  local remembered = math.exp((state[PACED] - now) / MINUTE_US)
  for place = 1, MINUTES do
    if state[LIMIT + place] > 0 then
      state[BIG + place] = state[BIG + place] * remembered
      pace_bucket(state, place, m, burst_us)
    end
  end
end

if not account[SIZE] then account = read(raws[2]) end
local burst_us, own, shared = unpack(unpacked(ARGV[3]))
local shared_minute, shared_day = lower(shared, account)
local own_minute = lower(own, scope)
if scope[CUT] < 1 then
  scope[CUT] = min(1, scope[CUT] + (now - scope[CUT_AT]) * scope[RECOVER])
  scope[CUT_AT] = now
end
if own_minute or shared_minute then
  if scope[PROBE] > 0 then scope[PROBE], scope[ACCEPTED], scope[ACCEPTED_SINCE] = 0, 0, 0 end
  if not own_minute and scope[CUT] < 1 then
    for place = 1, MINUTES do own[place] = shared[place] end
  end
else  -- no limit known at all: probe with requests a minute
  if scope[PROBE] == 0 then scope[PROBE] = PROBE_START end
  own[1], burst_us = scope[PROBE], 0
end
set_limits(account, shared)
set_limits(scope, own)
pace_state(scope, scope[CUT], burst_us)
pace_state(account, 1, burst_us)
scope[SPEC], scope[PACED], account[SPEC], account[PACED] = spec, now, shared_spec, now
account[LIMITED] = (shared_minute or shared_day) and 1 or 0
scope.changed, account.changed = true, true
