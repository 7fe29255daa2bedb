-- Method, body and bound come from the environment; the figures leave as one line of JSON.
-- A path with OFFSET in it asks for another offset each time: steps of a prime, so that no page comes twice for long.
wrk.method = os.getenv("BENCH_METHOD")
local requests_max = tonumber(os.getenv("BENCH_REQUESTS_MAX"))
local offsets = tonumber(os.getenv("BENCH_OFFSETS"))
local moving = wrk.path:find("OFFSET", 1, true)
local before, after = wrk.path:match("^(.*)OFFSET(.*)$")
local file = io.open(os.getenv("BENCH_BODY"), "rb")
local body = file:read("*a")
file:close()
if #body > 0 then
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
end

local sent, same = 0, nil

function init()
  if not moving then same = wrk.format() end
end

function request()
  sent = sent + 1
  if sent > requests_max then wrk.thread:stop() end
  return same or wrk.format(nil, before .. (sent * 7919) % offsets .. after)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nREPORT {"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
