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

if scope and scope[PAUSE] > now then
  for place = 1, MINUTES do
    if scope[LIMIT + place] > 0 then  -- emptied for the end of the pause: that is now
      local full = scope[DEPTH + place] / scope[RATE + place]
      scope[AT + place] = min(scope[AT + place], max(now, scope[LAST]) + full)
    end
  end
end
resume(KEYS[1], scope)
resume(KEYS[2], account)
redis.call('PUBLISH', KEYS[2], 'resumed')
return pack(ended)
