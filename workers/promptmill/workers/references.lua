-- Which job has, or will have, the answer to each request? Who asks first, it is.
--
-- KEYS     one a request
-- ARGV     for each key: the job that asks; the job that it found there before and that has no
--          answer for it, or 0; seconds to keep it
-- Result   list of jobs; one is the asker's own where nobody else is there: it is to be called

local jobs = {}
for n = 1, #KEYS do
  local own, refused, keep = ARGV[3 * n - 2], ARGV[3 * n - 1], ARGV[3 * n]
  local found = redis.call('GET', KEYS[n])
  if found and found ~= own and found ~= refused then
    jobs[n] = found
  else
    redis.call('SET', KEYS[n], own, 'EX', keep)
    jobs[n] = own
  end
end
return jobs
