-- Keep the limits that the provider's headers tell.
--
-- KEYS     [1] scope state
-- ARGV     now, then pairs: dimension, limit
-- Result   number of limits that changed
local scope = read(KEYS[1])
scope.dims = scope.dims or {}
local changed = 0
for i = 2, #ARGV, 2 do
  local state = scope.dims[ARGV[i]] or {}
  local told = tonumber(ARGV[i + 1])
  if state.told ~= told then changed = changed + 1 end
  state.told = told
  scope.dims[ARGV[i]] = state
end
if changed > 0 then write(KEYS[1], scope) end
return changed
