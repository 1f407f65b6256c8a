-- Keep the limits that the provider's headers tell.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: limits by dimension (0 = not told)
-- Result   number of limits that changed

-- include state.lua
if not scope then return pack(0) end
local told, changed = unpacked(ARGV[2])[1], 0
for place = 1, DIMENSIONS do
  if told[place] > 0 and told[place] ~= scope[TOLD + place] then
    scope[TOLD + place], changed = told[place], changed + 1
  end
end
if changed > 0 then
  scope[SPEC] = 0  -- paced anew by the next call
  write(KEYS[1], scope)
  redis.call('PUBLISH', KEYS[2], 'limits')
end
return pack(changed)
