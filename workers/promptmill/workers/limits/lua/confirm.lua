-- May these bookings be sent now? Those that may not are given back.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: lease in us, how late a start may be in us, begin of the day in us after
--          midnight UTC, records (see records.lua)
-- Result   list: 1 = send; 0 = void (a penalty, a pause, an emptied store) or late: book again

-- include state.lua
-- include pause.lua
-- include records.lua
local lease, late, offset, records = unpack(unpacked(ARGV[2]))
local open = scope and account and paused() == 0
local answers, back = {}, false
for i = 1, #records do
  local record = records[i]
  if open and is_current(record) and now - record[4] <= late
      and redis.call('ZSCORE', KEYS[3], record[1]) then
    redis.call('ZADD', KEYS[3], 'XX', now + lease, record[1])
    answers[i] = 1
  else
    answers[i], back = 0, give_back(record, offset) == 1 or back
  end
end
-- include seen.lua
if back then finish() end
return pack(answers)
