-- Close bookings with what they really used. Each acts once only.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: begin of the day in us after midnight UTC, settlements: each a list of a
--          record (see records.lua), true costs by dimension (empty = unknown: the estimate
--          stands) and a lesson: input estimated, input used, output used, output allowed (0 = not
--          named), output expected at the start
-- Result   {answers, what is learned}: 1 = settled; 0 = was settled before, given back, or died

-- include state.lua
-- include records.lua
local ACCEPT_US = 15000000  -- memory of what was accepted
local MEMORY, PRIOR = 0.98, 1  -- as in learned.py
-- How fast requests a minute grow, a second, while they are probed: until the first refusal, then
-- below what was refused, near it, and above it.
local DOUBLING, REGAIN, CAREFUL, ONWARDS = 0.7, 0.1, 0.005, 0.03

local offset, settlements = unpack(unpacked(ARGV[2]))
local raw = redis.call('GET', KEYS[4])
local sums = raw and {struct.unpack('<dddddd', raw)}

local function learn(lesson)
  local given, used, output, allowed, likely = unpack(lesson)
  if not sums then
    sums = {1, given, given, likely, allowed, allowed}
    for i = 1, 6 do sums[i] = sums[i] * PRIOR end
  end
  local once = {1, given, used, output, allowed, allowed > 0 and output or 0}
  for i = 1, 6 do sums[i] = sums[i] * MEMORY + once[i] end
end

-- -> us of the limit that these costs are; of the account's where the scope has none
local function work_of(costs)
  if scope[PROBE] > 0 then return 60000000 end  -- then it is requests a minute
  local own, shared = 0, 0
  for place = 1, MINUTES do
    local limit, whole = scope[LIMIT + place], account[LIMIT + place] or 0
    if limit > 0 then own = max(own, costs[place] * 60000000 / limit) end
    if whole > 0 then shared = max(shared, costs[place] * 60000000 / whole) end
  end
  return own > 0 and own or shared
end

local function probe_on()
  local growth, share = DOUBLING, scope[PROBE] / scope[CEILING]
  if scope[CEILING] > 0 then
    growth = share < 0.9 and REGAIN or share < 1.1 and CAREFUL or ONWARDS
  end
  if scope[AT + 1] > now then  -- only while it is what holds calls back
    scope[PROBE], scope[SPEC] = scope[PROBE] + 60 * growth, 0
  end
end

local function settle(record, actuals)
  if redis.call('ZREM', KEYS[3], record[1]) == 0 then return 0 end
  if #actuals == 0 or not scope or not account then return 1 end
  for place = 1, DIMENSIONS do
    recharge(scope, record, place, actuals[place], offset)
    recharge(account, record, place, actuals[place], offset)
  end
  scope[ACCEPTED] = scope[ACCEPTED] * math.exp((scope[ACCEPTED_AT] - now) / ACCEPT_US) + work_of(actuals)
  scope[ACCEPTED_AT], scope.changed = now, true
  if scope[ACCEPTED_SINCE] == 0 then scope[ACCEPTED_SINCE] = now end
  if scope[PROBE] > 0 then probe_on() end
  if scope[STREAK] > 0 and record[4] >= max(scope[PUNISHED], account[PUNISHED]) then
    if scope[HOLD] > now then redis.call('PUBLISH', KEYS[2], 'accepted') end
    scope[STREAK], scope[HOLD] = 0, 0
  end
  return 1
end

local answers = {}
for i = 1, #settlements do
  local settlement = settlements[i]
  answers[i] = settle(settlement[1], settlement[2])
  if answers[i] == 1 and #settlement[2] > 0 then learn(settlement[3]) end
end
if sums then redis.call('SET', KEYS[4], struct.pack('<dddddd', unpack(sums, 1, 6)), 'EX', KEEP_S) end
finish()
return pack({answers, sums and {unpack(sums, 1, 6)} or {}})
