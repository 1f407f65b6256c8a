-- May this booking be sent now? If not, it is given back.
--
-- KEYS     as in bookings.lua
-- ARGV     as in state.lua; own arguments: booking id, epoch, lease in us, how late it may be in us
-- Result   1 = send; 0 = void (a penalty, a pause, an emptied store) or late: book again
local scope, account = read(KEYS[1]), read(KEYS[2])
local id, epoch, lease, late = unpack(unpacked(ARGV[3]))
local record = find(id)
if not record then
  close(id)
  return 0
end
if account.epoch == epoch and record[2] == plan_of(scope, account)
    and paused(scope, account) == 0 and now - record[1] <= late then
  redis.call('ZADD', KEYS[3], now + lease, id)
  return 1
end
give_back(scope, account, (read_dims(scope)), id, record)
return 0
