-- One shared answer to a refusal.
--
-- KEYS     [1] scope state, [2] account state
-- ARGV     now and dimensions, then pause in us, 1 = cut the rate,
--          1 = the pause is the account's (all models), reason
-- Result   {pause left in us, multiplier in millionths, plan}
--
-- The calls in flight fail together, so an episode of two seconds counts once: it begins a new plan
-- (what is booked and not yet sent is void), empties the buckets at the end of the pause (no burst
-- into a provider that recovers) and cuts the rate to what was really accepted of late. A blind cut
-- by a factor collapses: the calls booked at the old rate keep failing and cut again.
local EPISODE_US = 2000000
local LEAST, BLIND, GENTLE = 0.05, 0.5, 0.95

local scope, account = read(KEYS[1]), read(KEYS[2])
local dims, arg = read_dims(scope)
local cut, whole, reason = ARGV[arg + 1] == '1', ARGV[arg + 2] == '1', ARGV[arg + 3]
local target = whole and account or scope

local till = now + tonumber(ARGV[arg])
if till >= (target.pause or 0) then target.pause, target.why = till, reason end
till = math.max(target.pause, now)

-- -> share of the limit accepted of late; nil before it is known
local function accepted()
  local age = now - (scope.ok_since or now)
  if age < 3000000 then return nil end
  local sum = scope.ok * math.exp((scope.ok_at - now) / ACCEPT_US)
  local share = sum / (ACCEPT_US * (1 - math.exp(-age / ACCEPT_US)))
  for _, dim in ipairs(dims) do
    if dim.probing then share = share / (dim.full_rate * dim.window) end
  end
  return share
end

local episode = now - (target.punished or -EPISODE_US) >= EPISODE_US
if episode then
  target.plan, target.punished = (target.plan or 0) + 1, now
  if cut then
    local m, got = multiplier(scope), accepted()
    local to = math.min(m * GENTLE, math.max(m * BLIND, (got or 0) * 0.97))
    scope.cut, scope.cut_at = math.max(LEAST, to), now
  end
end
for _, dim in ipairs(dims) do
  if dim.kind ~= 'day' and dim.limit then
    set_pace(dim, multiplier(scope))
    local debt = dim.state.at or 0
    -- What is void was booked between now and the last start; older debt stays.
    if episode then debt = debt - math.max(0, (scope.last or 0) - now) end
    dim.state.at = math.max(debt, till + dim.depth / dim.rate)
  end
end
if episode then scope.last = now end
write(KEYS[1], scope)
if whole then write(KEYS[2], account) end
return {math.ceil(till - now), math.floor(multiplier(scope) * 1e6), plan_of(scope, account)}
