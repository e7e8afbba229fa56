-- Asks auth-core whose a token is: by `me`, which looks at the session and the account, and not at the token alone.
--
-- In: txn.token, txn.token_hash, txn.trace_id, txn.span_id. Out: txn.verdict is GOOD (then txn.subject, txn.email and txn.role are the
-- account's), UNAUTHENTICATED, TOKEN_EXPIRED, or UNAVAILABLE: nobody can tell.

-- No answer is older than this, in seconds; and no more than so many are kept.
local FRESH = 1
local MOST = 10000

-- All answers of one period, which are forgotten together.
local answers, kept, began = {}, 0, 0

local function now()
  local time = core.now()
  return time.sec + time.usec / 1000000
end

-- The body of the core's answer, or nil. By hand, for HAProxy's own client writes a line to the log each time. `socket` leads to a node
-- that is ready; a token has no character that could end a header.
local function me(txn, socket)
  local body = '{"query":"{ me { id email role } }"}'
  local connection = core.tcp()
  connection:settimeout(10)
  if not connection:connect("unix@" .. socket) then
    return nil
  end
  connection:send(table.concat({
    "POST /graphql HTTP/1.0",
    "Host: auth-core",
    "Authorization: Bearer " .. txn:get_var("txn.token"),
    "traceparent: 00-" .. txn:get_var("txn.trace_id") .. "-" .. txn:get_var("txn.span_id") .. "-01",
    "Content-Type: application/json",
    "Content-Length: " .. #body,
    "",
    body,
  }, "\r\n"))
  local answer = connection:receive("*a")
  connection:close()
  return answer and answer:match("^HTTP/1%.%d 200 .-\r\n\r\n(.*)$")
end

local function ask(txn, socket)
  local body = me(txn, socket)
  if not body then
    return { verdict = "UNAVAILABLE" }
  end
  local function of(path)
    local found = txn.c:json_query(body, path)
    -- Nothing that could end a header goes into one.
    return found and found ~= "" and not found:find("%c") and found or nil
  end
  local subject, email, role = of("$.data.me.id"), of("$.data.me.email"), of("$.data.me.role")
  if subject and email and role then
    return { verdict = "GOOD", subject = subject, email = email, role = role }
  end
  local code = of("$.errors[0].extensions.code")
  local judged = code == "UNAUTHENTICATED" or code == "TOKEN_EXPIRED"
  return { verdict = judged and code or "UNAVAILABLE" }
end

core.register_action("ask_core", { "http-req" }, function(txn, socket)
  local key, asked = txn:get_var("txn.token_hash"), now()
  if asked - began >= FRESH then
    answers, kept, began = {}, 0, asked
  end
  local answer = answers[key]
  if not answer then
    answer = ask(txn, socket)
    -- Another period may have begun meanwhile, in which this answer would get too old.
    if asked >= began and kept < MOST and answer.verdict ~= "UNAVAILABLE" then
      answers[key], kept = answer, kept + 1
    end
  end
  for name, value in pairs(answer) do
    txn:set_var("txn." .. name, value)
  end
end, 1)
