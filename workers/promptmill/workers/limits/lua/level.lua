-- Tell people how a scope stands; changes nothing.
--
-- KEYS     [1] scope state, [2] account state, [3] leases of the account
-- ARGV     as in state.lua
-- Result   {epoch, plan, in flight, pause left in us, why, multiplier, us booked ahead, us queued,
--          dimensions that have a limit}, each of those a list: name, limit, told (0 = none), probing,
--          rate a us, depth, level (day: used), learned ratio, us until the day's reset
local scope, account = read(KEYS[1]), read(KEYS[2])
local dims, m = read_dims(scope)
local left, why = paused(scope, account)
local levels = {}
for i = 1, #dims do
  local dim = dims[i]
  local level, reset
  if dim.day then
    local day = day_of(dim, now)
    level, reset = used_on(dim, day), (day + 1) * dim.window + dim.offset - now
  else
    level, reset = dim.depth - max(0, (dim.state.at or 0) - now) * dim.rate, 0
  end
  levels[i] = {
    dim.name, dim.limit, dim.state.told or 0, dim.probing,
    dim.rate or 0, dim.depth or 0, level, ratio(dim), reset,
  }
end
return pack({
  account.epoch or '', plan_of(scope, account), redis.call('ZCOUNT', KEYS[3], now, '+inf'),
  left, why, m, max(0, (scope.last or 0) - now),
  max(0, (scope.queued or 0) - (scope.served or 0)) / m, levels,
})
