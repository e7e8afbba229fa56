-- While no node can serve, requests wait for one instead of being refused: a node that restarts, a database whose standby takes over,
-- are back after a few seconds.
--
-- They wait for no longer than WAIT_SECONDS after the last node was lost: whoever comes later is told at once, so that a long outage
-- does not fill the gateway with clients that wait. How many wait is bounded by its limits of connections and requests.
--
-- A process that ends, because of a reload, asks no node any more whether it is ready, and says of all that they are not: there is
-- nothing to wait for.

local SECONDS = tonumber(os.getenv("WAIT_SECONDS"))
local LOOK_MS = 100

-- By the backend's name: when a server could serve last, in seconds. To begin with HAProxy takes all for ready.
local served = {}

local function seconds()
  local now = core.now()
  return now.sec + now.usec / 1000000
end

core.register_task(function()
  while true do
    for name, backend in pairs(core.backends) do
      -- How many servers are active and up.
      if backend:get_stats().act > 0 then
        served[name] = seconds()
      end
    end
    core.msleep(LOOK_MS)
  end
end)

-- A number before HAProxy 3.1.
local function stopping(txn)
  local answer = txn.f:stopping()
  return answer == true or answer == 1
end

core.register_action("wait_for_node", { "http-req" }, function(txn)
  local name = txn.f:be_name()
  while not stopping(txn) and txn.f:nbsrv() == 0 and seconds() - (served[name] or 0) < SECONDS do
    core.msleep(LOOK_MS)
  end
end)
