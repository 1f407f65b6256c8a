-- How fast a scope may go: the dimensions of a call, and their rates.
--
-- ARGV[2]  n, number of dimensions; then n times six:
--          name, kind ('request', 'token' or 'day'), configured limit (0 = none),
--          window in us, offset of the window's start in us (day only),
--          1 = estimates of it are scaled by what was learned
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
  return math.min(1, scope.cut + math.max(0, now - scope.cut_at) * RECOVER)
end

local function known(configured, told)
  if configured > 0 and told then return math.min(configured, told) end
  return configured > 0 and configured or told
end

local function set_pace(dim, scope_m)
  local limit, depth = dim.limit, dim.limit * DEPTH_US / dim.window
  local spare
  if dim.kind == 'request' then
    depth = math.max(1, depth)
    spare = depth - 1  -- whole requests: one is always the next window's
  else
    spare = math.max(depth, dim.state.big or 0)
  end
  dim.depth = depth
  dim.full_rate = math.max(limit * SAFETY - spare, limit / 2) / dim.window
  dim.rate = dim.full_rate * scope_m
end

-- -> list of dimensions { name, kind, state, window, limit, depth, rate ... }, index of the next ARGV.
-- limit is nil where none is known. Costs are by place in this list.
local function read_dims(scope)
  scope.dims = scope.dims or {}
  local dims, m, bounded = {}, multiplier(scope), false
  local n = tonumber(ARGV[2])
  for i = 1, n do
    local a = i * 6 - 3
    local name, kind, window = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 3])
    local state = scope.dims[name] or {}
    scope.dims[name] = state
    local dim = {name = name, kind = kind, window = window, state = state, learn = ARGV[a + 5] == '1'}
    dim.configured = tonumber(ARGV[a + 2])
    dim.limit = known(dim.configured, state.told)
    if kind == 'day' then
      dim.offset = tonumber(ARGV[a + 4])
    elseif dim.limit then
      bounded = true
      set_pace(dim, m)
    end
    dims[i] = dim
  end
  for _, dim in ipairs(dims) do  -- no limit known at all: probe with requests a minute
    if not bounded and dim.kind == 'request' then
      dim.limit, dim.probing = scope.probe or PROBE_START, true
      set_pace(dim, m)
    end
  end
  return dims, 3 + n * 6
end

-- -> actual / estimate, learned; 1 before anything is known
local function ratio(dim)
  local est = dim.state.est or 0
  if not dim.learn or est <= 0 then return 1 end
  return math.min(4, math.max(0.02, dim.state.act / est))
end

local function day_of(dim, at)
  return math.floor((at - dim.offset) / dim.window)
end

-- -> what is used of a day's limit on day `day`. An earlier day (the clock went back) is the same day.
local function used_on(dim, day)
  return day <= (dim.state.day or -1) and dim.state.used or 0
end

-- Correct by `delta` what was charged for a start at `at`.
local function recharge(dim, at, delta)
  if dim.kind == 'day' then
    if dim.state.day == day_of(dim, at) then
      dim.state.used = math.max(0, dim.state.used + delta)
    end
  elseif dim.limit and dim.state.at then
    dim.state.at = dim.state.at + delta / dim.rate
  end
end
