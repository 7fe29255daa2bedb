-- Sends the requests of a pool in their order, each with something new in its holes (tests/bench/requests.py says which);
-- the figures leave as one line of JSON.
local requests_max = tonumber(os.getenv("BENCH_REQUESTS_MAX"))
local offsets = tonumber(os.getenv("BENCH_OFFSETS"))
local random, concat, floor = math.random, table.concat, math.floor
local seed = tonumber(os.getenv("BENCH_SEED"))
math.randomseed(seed)

-- Digits are looked up: to format them took longer than all the rest.
local hex = {}
for number = 0, 0xffff do hex[number] = string.format("%04x", number) end

-- Parts, and between two of them the kind of the hole.
local function parted(template)
  local parts, from = {}, 1
  while true do
    local hole = template:find("[\1\2]", from)
    if not hole then break end
    parts[#parts + 1] = template:sub(from, hole - 1)
    parts[#parts + 1] = template:byte(hole)
    from = hole + 1
  end
  parts[#parts + 1] = template:sub(from)
  return parts
end

local pool, sent, out = {}, 0, {}

function init()
  local file = io.open(os.getenv("BENCH_POOL"), "rb")
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    pool[#pool + 1] = parted(file:read(length))
  end
  file:close()
end

function request()
  sent = sent + 1
  if sent > requests_max then wrk.thread:stop() end
  local digits = hex[(seed + floor(sent / 0x10000)) % 0x10000] .. hex[sent * 40503 % 0x10000]
  local parts = pool[sent % #pool + 1]
  local count = #parts
  out[1] = parts[1]
  for index = 2, count, 2 do
    out[index] = parts[index] == 1 and digits or random(0, offsets - 1)
    out[index + 1] = parts[index + 1]
  end
  return concat(out, "", 1, count)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nREPORT {"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
