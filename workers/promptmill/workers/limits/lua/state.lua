-- The clock, and the states of a scope and of its account: every script begins with it.
--
-- KEYS     [1] scope state  [2] account state  [3] leases of the account: zset id -> expiry
--          [4] what was learned of the model
-- ARGV     [1] now in us since 2025-01-01, for tests; '' = the server's own clock
--          [2] msgpack: the script's own arguments
-- Results are msgpack too. One packed argument costs a fraction of fifty plain ones, on both sides.
--
-- A state is a list of numbers; the names of their places are in schema/limit_state.py. Those by
-- dimension are bases: state[LIMIT + 2] is the limit of the second dimension. Dimensions of a day
-- come last, and have USED for AT, DAY for RATE. Either state may be missing (nil): never seen, or
-- lost with the store.
local max, min, ceil, floor = math.max, math.min, math.ceil, math.floor
local unpacked, pack = cmsgpack.unpack, cmsgpack.pack
local KEEP_S = 604800  -- an idle state is forgotten after seven days, or after its pause
local DAY_US = 86400000000

local clock
if ARGV[1] == '' then
  local t = redis.call('TIME')
  clock = (t[1] - 1735689600) * 1000000 + t[2]
else
  clock = tonumber(ARGV[1])
end
local now = clock

local raws = redis.call('MGET', KEYS[1], KEYS[2])

local function read(raw)
  local state = {struct.unpack('FORMAT_SIZE', raw)}
  if #raw > BYTES then state.why = raw:sub(BYTES + 1) end
  return state
end

local function write(key, state)
  if not state[SIZE] then  -- an account of which the head was read
    local whole = read(raws[2])
    for place = HEAD + 1, SIZE do state[place] = whole[place] end
    state.why = state.why or whole.why
  end
  state[SEEN] = now
  local keep = KEEP_S
  if state[PAUSE] > now then keep = keep + ceil((state[PAUSE] - now) / 1000000) end
  local raw = struct.pack('FORMAT_SIZE', unpack(state, 1, SIZE)) .. (state.why or '')
  redis.call('SET', key, raw, 'EX', keep)
end

local scope, account = raws[1] and read(raws[1]), nil
if raws[2] then
  account = {struct.unpack('FORMAT_HEAD', raws[2])}
  account[#account] = nil  -- where the head ends: struct tells that too
  if account[LIMITED] > 0 or account[PAUSE] > 0 then account = read(raws[2]) end
end

-- The account's clock never goes back: where the server's does (a failover to one that is behind),
-- it stays ahead of it by as much. Days are those of the server's clock.
if account then
  now = clock + account[SKEW]
  local seen = scope and max(scope[SEEN], account[SEEN]) or account[SEEN]
  if seen > now then
    account[SKEW] = account[SKEW] + seen - now
    now = seen
    write(KEYS[2], account)
  elseif now - account[SEEN] > DAY_US then
    write(KEYS[2], account)  -- or it would be forgotten while it is used
  end
end
