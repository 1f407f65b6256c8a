-- -> us until work may go on, and why not now
local function paused()
  local a, s = account[PAUSE] - now, scope[PAUSE] - now
  if a > 0 and a >= s then return a, account.why or '' end
  if s > 0 then return s, scope.why or '' end
  return 0, ''
end
