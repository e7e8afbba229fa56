# What the gateway says by itself, in the shape of the API's errors.
#
# What is no HTTP/1 request at all gets HAProxy's own page (400, 408, 413, 422 or 501, in HTML): 2.6 and 3.0 have no setting for it.
let
  content =
    { code, message }:
    "content-type application/json string '"
    + builtins.toJSON {
      errors = [
        {
          inherit message;
          extensions = { inherit code; };
        }
      ];
    }
    + "'";
  unavailable = message: {
    code = "UNAVAILABLE";
    inherit message;
  };
  lost = "Whether the request was carried out is not known.";

  own = {
    "400" = {
      code = "BAD_REQUEST";
      message = "This is not a valid HTTP request.";
    };
    "408" = {
      code = "REQUEST_TIMEOUT";
      message = "The request did not arrive in time.";
    };
    "500" = {
      code = "INTERNAL";
      message = "The gateway failed on this request.";
    };
    "502" = unavailable "The node broke off before it had answered. ${lost}";
    "503" = unavailable "No node can answer at the moment. Try again shortly.";
    "504" = unavailable "The node did not answer in time. ${lost}";
  };
in
{
  # HAProxy's own errors, for the section `defaults`.
  own = builtins.attrValues (
    builtins.mapAttrs (
      status: error: "http-error status ${status} ${content error}${if status == "503" then " hdr retry-after 1" else ""}"
    ) own
  );

  # A rule that refuses, without its condition.
  refuse = status: error: "http-request return status ${toString status} ${content error}";
}
