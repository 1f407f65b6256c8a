-- Give unused bookings back.
--
-- KEYS     as in state.lua
-- ARGV     own arguments: begin of the day in us after midnight UTC, records (see records.lua)
-- Result   list: 1 = given back; 0 = there was none (any more)

-- include state.lua
-- include records.lua
local offset, records = unpack(unpacked(ARGV[2]))
local answers = {}
for i = 1, #records do answers[i] = give_back(records[i], offset) end
finish()
return pack(answers)
