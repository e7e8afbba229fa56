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

  # A rule that refuses, without its condition.
  refuse = status: error: "http-request return status ${toString status} ${content error}";
  # With what a client of bearer tokens is told (RFC 6750, 3).
  challenge =
    status: parameters: error:
    "${refuse status error} hdr www-authenticate 'Bearer realm=\"authstack\"${parameters}'";
  unauthenticated = message: {
    code = "UNAUTHENTICATED";
    inherit message;
  };
in
{
  inherit refuse;

  unauthenticated = {
    missing = challenge 401 "" (unauthenticated "A valid access token is needed.");
    invalid = challenge 401 ", error=\"invalid_token\"" (
      unauthenticated "A valid access token is needed."
    );
    expired =
      challenge 401 ", error=\"invalid_token\", error_description=\"The access token has expired.\""
        {
          code = "TOKEN_EXPIRED";
          message = "The access token has expired.";
        };
    apiKey = "${refuse 401 (unauthenticated "A valid API key is needed.")} hdr www-authenticate 'ApiKey realm=\"authstack\"'";
    # Nobody can tell.
    unknown = "${refuse 503 (unavailable "The access token cannot be checked at the moment. Try again shortly.")} hdr retry-after 1";
  };
  forbidden = challenge 403 ", error=\"insufficient_scope\"" {
    code = "FORBIDDEN";
    message = "Your role does not allow this.";
  };

  outOfScope = refuse 403 {
    code = "FORBIDDEN";
    message = "This API key is not for this route.";
  };

  # HAProxy's own errors, for the section `defaults`.
  own = builtins.attrValues (
    builtins.mapAttrs (
      status: error:
      "http-error status ${status} ${content error}${
        if status == "503" then " hdr retry-after 1" else ""
      }"
    ) own
  );
}
