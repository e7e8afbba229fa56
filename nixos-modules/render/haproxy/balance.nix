# How the requests of a route are spread over its servers, and when a server gets none.
#
# Checks ask for the health of a server; the circuit breaker sees it in the answers to requests: errors one after another open it, and
# the server is out. Two good checks close it half: the server's share grows slowly, and as many errors more open it again.
route:
let
  inherit (builtins) attrNames map;
  optionals = condition: list: if condition then list else [ ];
  option = condition: text: if condition then " ${text}" else "";
  nameOf = builtins.replaceStrings [ "[" "]" ] [ "" "" ];
  cookieOf = builtins.replaceStrings [ ":" "." ] [ "-" "-" ];

  ask = "ver HTTP/1.1 hdr host ${route.health.host}";
  checks = {
    tcp = [ ];
    http = [
      "option httpchk"
      "http-check send meth GET uri ${route.health.path} ${ask}"
      "http-check expect status 200-299"
    ];
    graphql = [
      "option httpchk"
      ''http-check send meth POST uri ${route.health.path} ${ask} hdr content-type application/json body "{\"query\":\"{__typename}\"}"''
      ''http-check expect rstring "data.*__typename"''
    ];
  };
in
{
  # For the backend, before its servers.
  settings = [
    "balance ${route.balance}"
    "timeout check 1s"
  ]
  ++ checks.${route.health.by}
  ++ optionals route.sticky [
    "cookie route${cookieOf route.name} insert indirect nocache httponly secure attr SameSite=Lax"
  ]
  ++ optionals (route.serverHeader != null) (
    map (
      server: "use-server ${nameOf server} if { req.fhdr(${route.serverHeader}) -m str ${nameOf server} }"
    ) (attrNames route.servers)
  )
  ++ [
    (
      "default-server check inter 500ms fastinter 200ms downinter 500ms fall 2 rise 2"
      + option (route.slowStartSeconds > 0) "slowstart ${toString route.slowStartSeconds}s"
      + option (
        route.circuitBreaker != null
      ) "observe layer7 error-limit ${toString route.circuitBreaker} on-error mark-down"
      + option (route.requestsPerServer != null) "maxconn ${toString route.requestsPerServer}"
    )
  ];
  # What a server of this address has besides. The cookie says nothing of the address.
  ofServer =
    address:
    option route.sticky "cookie ${
      builtins.substring 0 16 (builtins.hashString "sha256" "${route.name} ${address}")
    }";
}
