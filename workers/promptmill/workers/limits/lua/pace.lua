-- How fast a scope may go: the dimensions of a call, and their rates.
--
-- ARGV[2]  msgpack: for each dimension a list: name, kind ('request', 'token' or 'day'),
--          configured limit (0 = none), window in us, offset of the window's start in us (day only),
--          whether estimates of it are scaled by what was learned
--
-- A bucket is paced: `depth` is a quarter second of the limit, a larger request waits for a full
-- bucket and goes into debt. What the largest request may take at once is taken off the rate, so
-- that no window of any shape holds more than the limit.
local DEPTH_US, SAFETY = 250000, 0.995
local PROBE_START = 600       -- requests a minute, while no limit is known
local RECOVER = 0.002 / 1e6   -- of the rate, a us
local ACCEPT_US = 15000000    -- memory of what was accepted

local function multiplier(scope)
  if not scope.cut then return 1 end
  return min(1, scope.cut + max(0, now - scope.cut_at) * RECOVER)
end

local function known(configured, told)
  if configured == 0 then return told end
  return told and min(configured, told) or configured
end

local function set_pace(dim, m, from)
  local limit, window = dim.limit, dim.window
  local depth, spare = limit * DEPTH_US / window, nil
  if dim.kind == 'request' then
    if depth < 1 then depth = 1 end
    spare = depth - 1  -- whole requests: one is always the next window's
  else
    local big = dim.state.big
    spare = (big and big > depth) and big or depth
  end
  dim.depth = depth
  dim.full_rate = max(limit * SAFETY - spare, limit / 2) / window
  local rate, state = dim.full_rate * m, dim.state
  -- Debt is tokens, not time: from now, or the latest booked start, it drains at the new rate.
  if state.rate and state.at and state.at > from and state.rate ~= rate then
    state.at = from + (state.at - from) * state.rate / rate
  end
  dim.rate, state.rate = rate, rate
end

-- -> whether it is a bucket with a limit
local function add_dim(scope, dims, place, spec, m, probe)
  local state = scope.dims[spec[1]] or {}
  local limit, probing = known(spec[3], state.told), false
  if not limit and probe and spec[2] == 'request' then
    limit, probing = scope.probe or PROBE_START, true
  end
  if not limit then return false end
  scope.dims[spec[1]] = state
  local dim = {
    place = place, name = spec[1], kind = spec[2], limit = limit, window = spec[4], offset = spec[5],
    learn = spec[6], day = spec[2] == 'day', probing = probing, state = state,
  }
  if not dim.day then set_pace(dim, m, max(now, scope.last or 0)) end
  dims[#dims + 1] = dim
  return not dim.day
end

-- -> list of the dimensions that have a limit: {place, name, kind, limit, window, depth, rate ...};
--    multiplier. `place` is the dimension's place in ARGV[2], and of its cost in a list of costs.
local function read_dims(scope)
  local specs, dims, m, bounded = unpacked(ARGV[2]), {}, multiplier(scope), false
  scope.dims = scope.dims or {}
  for place = 1, #specs do
    if add_dim(scope, dims, place, specs[place], m) then bounded = true end
  end
  if not bounded then  -- no limit known at all: probe with requests a minute
    for place = 1, #specs do
      if specs[place][2] == 'request' then add_dim(scope, dims, place, specs[place], m, true) end
    end
  end
  return dims, m
end

-- -> actual / estimate, learned; 1 before anything is known
local function ratio(dim)
  local est = dim.state.est
  if not dim.learn or not est or est <= 0 then return 1 end
  return min(4, max(0.02, dim.state.act / est))
end

local function day_of(dim, at)
  return floor((at - dim.offset) / dim.window)
end

-- -> what is used of a day's limit on day `day`. An earlier day (the clock went back) is the same day.
local function used_on(dim, day)
  return day <= (dim.state.day or -1) and dim.state.used or 0
end

-- Correct by `delta` what was charged for a start at `at`.
local function recharge(dim, at, delta)
  local state = dim.state
  if dim.day then
    if state.day == day_of(dim, at) then state.used = max(0, state.used + delta) end
  elseif state.at then
    state.at = state.at + delta / dim.rate
  end
end
