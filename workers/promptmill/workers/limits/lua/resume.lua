-- End a pause.
--
-- KEYS     [1] scope or account state
-- ARGV     now
-- Result   1 = it was paused; 0 = it was not
local state = read(KEYS[1])
local was = (state.pause or 0) > now
state.pause, state.why = nil, nil
if state.seen then write(KEYS[1], state) end
return was and 1 or 0
