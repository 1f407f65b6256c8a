-- Close a booking with what it really used. Acts once only.
--
-- KEYS     as in bookings.lua
-- ARGV     as in state.lua; own arguments: booking id, true costs by place (none = unknown: the
--          estimate stands), estimates before scaling by place
-- Result   1 = settled; 0 = was settled before, given back, or died
local MEMORY = 0.98  -- of the learned ratio: the last 50 calls
local PRIOR = 3      -- calls' worth of trust in the estimate at the start
local GROW = 18      -- requests a minute more for each accepted one, while probing

local scope, account = read(KEYS[1]), read(KEYS[2])
local id, actuals, estimates = unpack(unpacked(ARGV[3]))
local record = find(id)
if not close(id) or not record then return 0 end
if #actuals == 0 then return 1 end

local function learn(state, actual, estimate)
  if not state.est then
    state.act, state.est = PRIOR * estimate, PRIOR * estimate
  end
  state.act = state.act * MEMORY + actual
  state.est = state.est * MEMORY + estimate
end

local dims, m = read_dims(scope)
local start, costs = record[1], record[4]
local current = record[2] == plan_of(scope, account)
local work = 0  -- us of the limit
for i = 1, #dims do
  local dim = dims[i]
  local place = dim.place
  local actual, booked = actuals[place], costs[place]
  if dim.learn and estimates[place] > 0 then learn(dim.state, actual, estimates[place]) end
  if not dim.day then
    work = max(work, actual / (dim.probing and 1 / dim.window or dim.full_rate))
  end
  if booked > 0 and (current or dim.day) then recharge(dim, start, actual - booked) end
  if dim.probing and m >= 1 and (dim.state.at or 0) > now then scope.probe = dim.limit + GROW end
end
scope.ok = (scope.ok or 0) * math.exp(((scope.ok_at or now) - now) / ACCEPT_US) + work
scope.ok_at, scope.ok_since = now, scope.ok_since or now
write(KEYS[1], scope)
return 1
