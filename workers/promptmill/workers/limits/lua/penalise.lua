-- One shared answer to a refusal.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: pause in us, whether to cut the rate, how fast it recovers (of the limit,
--          a us), whether the pause is the account's (all models), reason, lease in us, begin of the
--          ids of the scope's bookings, plan, epoch and start of the booking that was refused (0 = not
--          told), whether it was for too fast a rise
-- Result   plan; -1 where nothing is known of the scope (then nothing is booked)
--
-- The calls in flight fail together, so those of one plan count once. The first begins a new plan
-- (what is booked and not yet sent is void), empties the buckets at the end of the pause (no burst
-- into a provider that recovers) and cuts the rate to what was really accepted of late. A blind cut
-- by a factor collapses: the calls booked at the old rate keep failing and cut again.
-- Where nothing was accepted since the last penalty it is no question of the rate: then nothing is
-- cut, the pauses grow, and behind each only one call is tried (see book.lua). Nor is it where calls
-- were accepted for a while, and at a rate below what was accepted before the last cut: then that cut
-- was of no use, and is taken back.

-- include state.lua
local EPISODE_US, ACCEPT_US = 2000000, 15000000
local LEAST, BLIND, GENTLE = 0.05, 0.5, 0.95
local TRIED_US, TRIED_MOST_US = 1000000, 30000000
local TAKEN_US, HELD_US, KNOWN_US = 1000000, 3000000, 10000000

if not scope or not account then return pack(-1) end
local pause, cut, recover, whole, reason, lease, prefix, plan, epoch, sent, rise =
  unpack(unpacked(ARGV[2]))
local target = whole and account or scope
local episode, held = now - target[PUNISHED] >= EPISODE_US, 0
if plan > 0 then
  episode = plan == scope[PLAN] + account[PLAN] and epoch == account[EPOCH]
  -- For so long calls of this plan have been accepted, though answers may be far off yet: what was sent
  -- twice as long ago as this refusal took would have been refused by now.
  if scope[FIRST] > 0 then held = now - scope[FIRST] - 2 * (now - sent) end
end
if episode then
  if held >= TAKEN_US then scope[STREAK], scope[HOLD] = 0, 0 end
  scope[STREAK] = scope[STREAK] + 1
  if scope[STREAK] > 1 then
    pause = max(pause, min(TRIED_MOST_US, TRIED_US * 2 ^ (scope[STREAK] - 2)))
  end
end
if now + pause >= target[PAUSE] then target[PAUSE], target.why = now + pause, reason end
local till = max(scope[PAUSE], now)

-- -> share of the limit accepted of late; 1 before it is known. And us since the first answer
local function accepted()
  local age = scope[ACCEPTED_SINCE] > 0 and now - scope[ACCEPTED_SINCE] or 0
  if age < 1000000 then return 1, age end
  local sum = scope[ACCEPTED] * math.exp((scope[ACCEPTED_AT] - now) / ACCEPT_US)
  local share = sum / (ACCEPT_US * (1 - math.exp(-age / ACCEPT_US)))
  return scope[PROBE] > 0 and share / scope[PROBE] or share, age
end

local function slow_down()
  local m = scope[PROBE] > 0 and 1 or min(1, scope[CUT] + (now - scope[CUT_AT]) * scope[RECOVER])
  local share, age = accepted()
  local less = max(LEAST, min(m * GENTLE, max(m * BLIND, share * 0.97)))
  if scope[PROBE] > 0 then
    scope[CEILING], scope[PROBE] = scope[PROBE], max(1, scope[PROBE] * less)
    return
  end
  if held >= HELD_US and m <= scope[PROVEN] and not rise then
    less = scope[UNCUT]
  else
    scope[UNCUT], scope[PROVEN] = m, age >= KNOWN_US and share or 0
  end
  scope[CUT], scope[CUT_AT], scope[RECOVER] = less, now, recover
end

-- Void what is booked and not sent. -> start of the first such of the scope; nil = there is none.
-- The lease of one that was sent ends `lease` after it was confirmed. So do those of void ones from
-- now on: the next penalty is not to take them for bookings of its plan.
local function void_unsent()
  local first
  local leases = redis.call('ZRANGEBYSCORE', KEYS[3], now + lease + 1, '+inf', 'WITHSCORES')
  for i = 1, #leases, 2 do
    local own = leases[i]:sub(1, #prefix) == prefix
    if own and not first then first = leases[i + 1] - lease end
    if own or whole then redis.call('ZADD', KEYS[3], 'XX', now + lease, leases[i]) end
  end
  return first
end

local function empty(state, unsent)
  for place = 1, MINUTES do
    if state[LIMIT + place] > 0 then
      local full = state[DEPTH + place] / state[RATE + place]
      -- What was sent stays owed: the bucket held enough for the first that was not.
      if unsent then state[AT + place] = min(state[AT + place], unsent + full) end
      state[AT + place] = max(state[AT + place], till + full)
    end
  end
end

local unsent = episode and void_unsent()
if episode then
  target[PLAN], target[PUNISHED] = target[PLAN] + 1, now
  if cut and scope[STREAK] == 1 then slow_down() end
  scope[LAST], scope[SERIAL], scope[FIRST] = now, scope[SERIAL] + 1, 0
end
empty(scope, unsent)
scope[SPEC] = 0  -- paced anew by the next call
write(KEYS[1], scope)
if whole then write(KEYS[2], account) end
return pack(scope[PLAN] + account[PLAN])
