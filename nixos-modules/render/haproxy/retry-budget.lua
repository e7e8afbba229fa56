-- A budget for retries: of a service whose every server fails, each request must not become four.
--
-- As with Finagle's RetryBudget, five requests allow for one retry, and each second for ten more; what is not used within about ten
-- seconds is lost. But what it costs are retries in vain alone: those that get their answer from another server load nobody twice, and
-- one server that fails, for however long, must cost no failed request.

local SHARE = 0.2
local EACH_SECOND = 10
local SECONDS = 10
-- As `retries` of the backends.
local RETRIES = tonumber(os.getenv("RETRIES"))

-- By the backend's name: how many retries in vain are left, and what was counted until the last look.
local budgets = {}

local function look()
  for name, backend in pairs(core.backends) do
    local now = backend:get_stats()
    local last = budgets[name] or { left = EACH_SECOND * SECONDS, req_tot = 0, wretr = 0, hrsp_5xx = 0 }
    local since = function(counter) return now[counter] - last[counter] end
    -- What clients got. HAProxy's own count of failures (`eresp`) is of requests in 2.6, and of tries in later versions.
    local in_vain = math.min(since("wretr"), RETRIES * since("hrsp_5xx"))
    -- What was used too much until it was seen here is made good first.
    local saved = last.left > 0 and last.left * (1 - 1 / SECONDS) or last.left
    local left = saved + SHARE * since("req_tot") + EACH_SECOND - in_vain
    budgets[name] = { left = left, req_tot = now.req_tot, wretr = now.wretr, hrsp_5xx = now.hrsp_5xx }
  end
end

core.register_task(function()
  while true do
    look()
    core.msleep(1000)
  end
end)

core.register_fetches("retries_spent", function(txn)
  local budget = budgets[txn.f:be_name()]
  return budget ~= nil and budget.left <= 0
end)
