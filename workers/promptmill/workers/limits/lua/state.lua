-- The clock, and the state of a scope and of its account. Put before every script.
--
-- ARGV[1]  now, in microseconds since 2025-01-01, for tests; '' = the server's own clock
-- ARGV[2]  msgpack: dimensions of the scope, see pace.lua
-- ARGV[3]  msgpack: the script's own arguments
-- Results are msgpack too. One packed argument costs a fraction of fifty plain ones, on both sides.
--
-- All times are microseconds since 2025-01-01: a double then keeps less than 0.01 us.
-- A state is one msgpack map under one key, read and written whole: one GET and one SET cost less
-- than a dozen hash fields.
--
-- scope:   last, latest   start and id of the latest booking: starts never go back (FIFO)
--          queued, served   ends of the virtual queue beyond the horizon, in us of work
--          plan, punished   number of the plan, and when it began: a penalty begins a new one
--          cut, cut_at      rate multiplier (nil = 1) and when it was cut
--          ok, ok_at, ok_since    decayed sum of accepted work (us of the limit), its time, its birth
--          probe     requests a minute tried while no limit is known
--          pause, why   paused until, and the reason
--          tag       names the scope in its bookings' records
--          seen      when this state was last written
--          dims      name -> { at     when the bucket will be full again, at `rate` a us
--                              told   limit told by headers
--                              big    largest cost of late
--                              act, est   decayed sums of true and of estimated costs
--                              day, used  day number and what was used in it }
-- account: epoch     random name of this life of the store
--          scopes    how many tags were given
--          plan, punished, pause, why, seen   as in a scope, for all models of the account
local KEEP_S = 7 * 86400  -- an idle scope is forgotten after this, or after its pause

local max, min, ceil, floor = math.max, math.min, math.ceil, math.floor
local pack, unpacked = cmsgpack.pack, cmsgpack.unpack

local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1])
else
  local t = redis.call('TIME')
  now = (tonumber(t[1]) - 1735689600) * 1000000 + tonumber(t[2])
end

-- The clock went back (a failover to a server that is behind): everything goes back with it.
local function rewind(state)
  local back = state.seen - now
  for _, field in ipairs({'last', 'punished', 'cut_at', 'ok_at', 'ok_since', 'pause'}) do
    if state[field] then state[field] = state[field] - back end
  end
  for _, dim in pairs(state.dims or {}) do
    if dim.at then dim.at = dim.at - back end
  end
end

local function write(key, state)
  state.seen = now
  local pause_s = ceil(max(0, (state.pause or now) - now) / 1000000)
  redis.call('SET', key, pack(state), 'EX', KEEP_S + pause_s)
end

local function read(key)
  local raw = redis.call('GET', key)
  local state = raw and unpacked(raw) or {}
  if state.seen and state.seen - now >= 1000000 then
    rewind(state)
    write(key, state)
  end
  return state
end

-- -> us until work may go on, and why not now
local function paused(scope, account)
  local a, s = (account.pause or 0) - now, (scope.pause or 0) - now
  if a > 0 and a >= s then return a, account.why or '' end
  if s > 0 then return s, scope.why or '' end
  return 0, ''
end

-- Both plans only ever grow, so their sum names the pair.
local function plan_of(scope, account)
  return (scope.plan or 0) + (account.plan or 0)
end
