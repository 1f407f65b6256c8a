-- One shared answer to a refusal.
--
-- KEYS     as in bookings.lua
-- ARGV     as in state.lua; own arguments: pause in us, whether to cut the rate,
--          whether the pause is the account's (all models), reason
-- Result   plan
--
-- The calls in flight fail together, so an episode of two seconds counts once: it begins a new plan
-- (what is booked and not yet sent is void), empties the buckets at the end of the pause (no burst
-- into a provider that recovers) and cuts the rate to what was really accepted of late. A blind cut
-- by a factor collapses: the calls booked at the old rate keep failing and cut again.
local EPISODE_US = 2000000
local LEAST, BLIND, GENTLE = 0.05, 0.5, 0.95

local scope, account = read(KEYS[1]), read(KEYS[2])
local pause, cut, whole, reason = unpack(unpacked(ARGV[3]))
local dims, m = read_dims(scope)
local target = whole and account or scope

if now + pause >= (target.pause or 0) then target.pause, target.why = now + pause, reason end
local till = max(target.pause, now)

-- -> share of the limit accepted of late; 0 before it is known
local function accepted()
  local age = now - (scope.ok_since or now)
  if age < 3000000 then return 0 end
  local sum = scope.ok * math.exp((scope.ok_at - now) / ACCEPT_US)
  local share = sum / (ACCEPT_US * (1 - math.exp(-age / ACCEPT_US)))
  for i = 1, #dims do
    if dims[i].probing then share = share / (dims[i].full_rate * dims[i].window) end
  end
  return share
end

-- -> costs by place of all that is booked here and not sent. What was sent stays owed.
local function unsent(plan)
  local sums = {}
  for _, raw in ipairs(redis.call('HVALS', KEYS[4])) do
    local record = unpacked(raw)
    if record[5] == scope.tag and record[2] == plan and record[1] > now then
      for place, cost in ipairs(record[4]) do sums[place] = (sums[place] or 0) + cost end
    end
  end
  return sums
end

local void = unsent(plan_of(scope, account))
local episode = now - (target.punished or -EPISODE_US) >= EPISODE_US
if episode then
  target.plan, target.punished = (target.plan or 0) + 1, now
  if cut then
    m = max(LEAST, min(m * GENTLE, max(m * BLIND, accepted() * 0.97)))
    scope.cut, scope.cut_at = m, now
  end
end
if episode then scope.last, scope.latest = now, nil end
for i = 1, #dims do
  local dim = dims[i]
  if not dim.day then
    local state = dim.state
    if episode then state.at = (state.at or 0) - (void[dim.place] or 0) / dim.rate end
    set_pace(dim, m, max(now, scope.last or 0))
    state.at = max(state.at or 0, till + dim.depth / dim.rate)
  end
end
write(KEYS[1], scope)
if whole then write(KEYS[2], account) end
return plan_of(scope, account)
