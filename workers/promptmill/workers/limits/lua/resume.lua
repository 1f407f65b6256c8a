-- End the pauses of a scope and of its account.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: none
-- Result   number of pauses that were ended

-- include state.lua
local ended = 0

local function resume(key, state)
  if not state or state[PAUSE] <= now then return end
  state[PAUSE], state.why = 0, nil
  write(key, state)
  ended = ended + 1
end

resume(KEYS[1], scope)
resume(KEYS[2], account)
redis.call('PUBLISH', KEYS[2], 'resumed')
return pack(ended)
