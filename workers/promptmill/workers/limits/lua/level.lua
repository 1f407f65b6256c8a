-- Tell people how a scope stands; changes nothing.
--
-- KEYS     [1] scope state, [2] account state, [3] leases of the account
-- ARGV     now and dimensions
-- Result   {epoch, plan, in flight, pause left in us, why, multiplier, us booked ahead, us queued,
--          then for each dimension a list: name, limit ('' = none), told ('' = none), 1 = probing,
--          rate a us, depth, level (day: used), learned ratio, us until the day's reset}
--          Fractions are text, since integers are all that Lua can answer.
local scope, account = read(KEYS[1]), read(KEYS[2])
local dims = read_dims(scope)
local left, why = paused(scope, account)
local in_flight = redis.call('ZCOUNT', KEYS[3], now, '+inf')
local function text(x) return x and string.format('%.9g', x) or '' end
local reply = {
  account.epoch or '', plan_of(scope, account), in_flight, math.ceil(left), why, text(multiplier(scope)),
  math.ceil(math.max(0, (scope.last or 0) - now)),
  math.ceil(math.max(0, (scope.queued or 0) - (scope.served or 0))),
}
for _, dim in ipairs(dims) do
  local level, reset = 0, 0
  if dim.kind == 'day' then
    local day = day_of(dim, now)
    level, reset = used_on(dim, day), math.ceil((day + 1) * dim.window + dim.offset - now)
  elseif dim.limit then
    level = dim.depth - math.max(0, (dim.state.at or 0) - now) * dim.rate
  end
  reply[#reply + 1] = {
    dim.name, text(dim.limit), text(dim.state.told), dim.probing and 1 or 0,
    text(dim.rate), text(dim.depth), text(level), text(ratio(dim)), reset,
  }
end
return reply
