-- Tell an empty store what is known of a scope. Acts on what is missing only.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: random name for this life of the store, begin of the day in us after
--          midnight UTC, what was used today of the scope and of the account, each by dimension,
--          what was learned (see settle.lua; empty = nothing)
-- Result   {}

-- include state.lua
local epoch, offset, own, shared, learned = unpack(unpacked(ARGV[2]))

local function begin(used)
  local state = {}
  for place = 1, SIZE do state[place] = 0 end
  state[CUT] = 1
  for place = MINUTES + 1, DIMENSIONS do
    state[USED + place], state[DAY + place] = used[place], floor((clock - offset) / DAY_US)
  end
  return state
end

if not account then
  account = begin(shared)
  account[EPOCH], account[PLAN] = epoch, 1  -- plan 0 is none
  if scope then account[SKEW], now = max(0, scope[SEEN] - clock), max(clock, scope[SEEN]) end
  write(KEYS[2], account)
end
if not scope then
  scope = begin(own)
  write(KEYS[1], scope)
end
if #learned > 0 and redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('SET', KEYS[4], struct.pack('<dddddd', unpack(learned)), 'EX', KEEP_S)
end
return pack({})
