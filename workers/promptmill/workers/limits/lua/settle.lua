-- Close a booking with what it really used. Acts once only.
--
-- KEYS     as in bookings.lua
-- ARGV     now and dimensions, then booking id, and for each dimension
--          true cost (-1 = unknown: the estimate stands) and estimate before scaling
-- Result   1 = settled; 0 = was settled before, given back, or died
local MEMORY = 0.98  -- of the learned ratio: the last 50 calls
local PRIOR = 3      -- calls' worth of trust in the estimate at the start
local GROW = 18      -- requests a minute more for each accepted one, while probing

local scope, account = read(KEYS[1]), read(KEYS[2])
local dims, arg = read_dims(scope)
local id = ARGV[arg]
local record = find(id)
if not close(id) or not record then return 0 end

local function learn(state, actual, estimate)
  if not state.est then
    state.act, state.est = PRIOR * estimate, PRIOR * estimate
  end
  state.act = state.act * MEMORY + actual
  state.est = state.est * MEMORY + estimate
end

local current = record[2] == plan_of(scope, account)
local work = 0  -- us of the limit
for i, dim in ipairs(dims) do
  local actual, estimate = tonumber(ARGV[arg + 2 * i - 1]), tonumber(ARGV[arg + 2 * i])
  local booked = record[3 + i] or 0
  if actual >= 0 and dim.limit then
    if dim.learn and estimate > 0 then learn(dim.state, actual, estimate) end
    if dim.kind ~= 'day' then
      local rate = dim.probing and 1 / dim.window or dim.full_rate
      work = math.max(work, actual / rate)
    end
    if booked > 0 and (current or dim.kind == 'day') then
      recharge(dim, record[1], actual - booked)
    end
    if dim.probing and multiplier(scope) >= 1 and (dim.state.at or 0) > now then
      scope.probe = dim.limit + GROW
    end
  end
end
if work > 0 then
  local kept = (scope.ok or 0) * math.exp(((scope.ok_at or now) - now) / ACCEPT_US)
  scope.ok, scope.ok_at = kept + work, now
  scope.ok_since = scope.ok_since or now
end
write(KEYS[1], scope)
return 1
