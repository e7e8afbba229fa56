# What the gateway adds to each answer, its own included: the names of the request, and what keeps browsers from doing harm with an
# answer (OWASP: HTTP Headers Cheat Sheet, REST Security Cheat Sheet). Where a service says otherwise, its word holds.
{ hstsSeconds, hasRoutes }:
let
  optionals = condition: list: if condition then list else [ ];
  unless = name: "!{ res.hdr(${name}) -m found }";
  # The API's answers are no pages. Those of a route may be.
  ofTheApi = if hasRoutes then " !{ var(txn.route) -m found }" else "";
in
[
  "http-after-response set-header x-trace-id %[var(txn.trace_id)] if { var(txn.trace_id) -m found }"
  "http-after-response set-header x-request-id %[var(txn.trace_id)] if { var(txn.trace_id) -m found }"
]
++ optionals (hstsSeconds > 0) [
  "http-after-response set-header strict-transport-security max-age=${toString hstsSeconds}"
]
++ [
  "http-after-response set-header x-content-type-options nosniff"
  "http-after-response set-header referrer-policy no-referrer if ${unless "referrer-policy"}${ofTheApi}"
  "http-after-response set-header x-frame-options DENY if ${unless "x-frame-options"}${ofTheApi}"
  "http-after-response set-header content-security-policy \"default-src 'none'; frame-ancestors 'none'\" if ${unless "content-security-policy"}${ofTheApi}"
]
++ optionals hasRoutes [
  "http-after-response set-header referrer-policy strict-origin-when-cross-origin if ${unless "referrer-policy"}"
  "http-after-response set-header x-frame-options SAMEORIGIN if ${unless "x-frame-options"} ${unless "content-security-policy"}"
]
