-- Sends the requests of a file, one a line: token, method, path, body, separated by tabs. With two threads the
-- even lines are the first's and the odd ones the second's, so that no two threads speak for one member.
local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
   thread:set("threads", threads)
end

function init(args)
   local made, at = {}, 0
   for line in io.lines(args[1]) do
      if at % tonumber(args[2]) == number then
         local token, method, path, body = line:match("^(.-)\t(.-)\t(.-)\t(.*)$")
         local headers = {}
         if token ~= "" then headers["Authorization"] = "Bearer " .. token end
         if body ~= "" then headers["Content-Type"] = "application/json" else body = nil end
         made[#made + 1] = wrk.format(method, path, headers, body)
      end
      at = at + 1
   end
   requests, next = made, 0
end

function request()
   next = next % #requests + 1
   return requests[next]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format("figures %d %d %d %d %d %d\n", summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), errors.status,
      errors.connect + errors.read + errors.write + errors.timeout))
end
