# Answers that the gateway keeps for everybody, where a route asks for it and the service allows it (RFC 9111).
#
# HAProxy honours Cache-Control and Vary (of Accept-Encoding, Referer and Origin; an answer that varies by anything else is not kept).
# Nothing is kept or given that was asked for with credentials, or that sets a cookie.
route:
let
  name = "cache${route.name}";
in
if route.cacheSeconds == 0 then
  {
    settings = [ ];
    sections = [ ];
  }
else
  {
    settings = [
      "http-request set-var(txn.personal) bool(true) if { req.hdr(authorization) -m found } or { req.hdr(cookie) -m found } or { req.hdr(x-api-key) -m found }"
      "http-request cache-use ${name} unless { var(txn.personal) -m bool }"
      "http-response cache-store ${name} unless { var(txn.personal) -m bool } or { res.hdr(set-cookie) -m found }"
    ];
    sections = [
      ""
      "cache ${name}"
      "  total-max-size 64"
      "  max-object-size 1000000"
      "  max-age ${toString route.cacheSeconds}"
      "  process-vary on"
    ];
  }
