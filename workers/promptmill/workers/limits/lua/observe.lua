-- Keep the limits that the provider's headers tell.
--
-- KEYS     [1] scope state
-- ARGV     as in state.lua; own arguments: map of dimension to limit
-- Result   number of limits that changed
local scope = read(KEYS[1])
scope.dims = scope.dims or {}
local changed = 0
for name, told in pairs(unpacked(ARGV[3])) do
  local state = scope.dims[name] or {}
  if state.told ~= told then changed = changed + 1 end
  state.told = told
  scope.dims[name] = state
end
if changed > 0 then write(KEYS[1], scope) end
return changed
