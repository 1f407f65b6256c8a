-- Bookings made before. Their callers keep the record: {id, plan, epoch, start, serial, start
-- before it, costs by dimension}; Redis keeps the lease, which counts against the in-flight cap and
-- dies with its worker. Who removes the lease has closed the booking.

-- Plans only ever grow, so their sum names the pair.
local function is_current(record)
  return record[3] == account[EPOCH] and record[2] == scope[PLAN] + account[PLAN]
end

-- Put `actual` in place of what was charged for a booking. What was booked in an older plan is void:
-- the buckets of its scope were set anew. Those of the account were not. A day is that of its start.
local function recharge(state, record, place, actual, offset)
  local limit = state[LIMIT + place]
  if (limit or 0) == 0 then return end  -- nor has an account of which the head was read
  local delta = actual - min(record[7][place], limit)
  if delta == 0 then return end
  if place > MINUTES then
    if state[DAY + place] ~= floor((record[4] - account[SKEW] - offset) / DAY_US) then return end
    state[USED + place] = max(0, state[USED + place] + delta)
  elseif is_current(record) or state == account and record[3] == account[EPOCH] then
    state[AT + place] = state[AT + place] + delta / state[RATE + place]
  end
  state.changed = true
end

-- Give the permits of an unused booking back. -> 1; 0 = there was none (any more)
local function give_back(record, offset)
  if redis.call('ZREM', KEYS[3], record[1]) == 0 or not scope or not account then return 0 end
  for place = 1, DIMENSIONS do
    recharge(scope, record, place, 0, offset)
    recharge(account, record, place, 0, offset)
  end
  if is_current(record) and record[5] == scope[SERIAL] then
    scope[LAST], scope[HOLD], scope.changed = record[6], 0, true
  end
  return 1
end

-- Keep what was changed, and tell the processes that wait for a place in flight: one is free.
local function finish()
  if scope and scope.changed then write(KEYS[1], scope) end
  if not account then return end
  if account.changed then write(KEYS[2], account) end
  if account[CAPPED] > now then redis.call('PUBLISH', KEYS[2], 'free') end
end
