-- Give an unused booking back.
--
-- KEYS     as in bookings.lua
-- ARGV     as in state.lua; own arguments: booking id
-- Result   1 = given back; 0 = there was none (any more)
local scope, account = read(KEYS[1]), read(KEYS[2])
local id = unpacked(ARGV[3])[1]
local record = find(id)
if not record then
  close(id)
  return 0
end
give_back(scope, account, (read_dims(scope)), id, record)
return 1
