-- Give an unused booking back.
--
-- KEYS     as in bookings.lua
-- ARGV     now and dimensions, then booking id
-- Result   1 = given back; 0 = there was none (any more)
local scope, account = read(KEYS[1]), read(KEYS[2])
local dims, arg = read_dims(scope)
local record = find(ARGV[arg])
if not record then
  close(ARGV[arg])
  return 0
end
return give_back(scope, account, dims, ARGV[arg], record) and 1 or 0
