# What is wrong with the settings of routes, in words: nothing else gets into HAProxy's text.
{
  routes,
  # { NAME = ADDRESS; } of the hosts that servers may be named by.
  addresses,
  # The authorities of clients' certificates; null for none.
  clientCa,
}:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    hasAttr
    head
    length
    match
    ;
  segment = "[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*";
  hostName = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?";
  isPrefix = prefix: match "(${hostName})?(/|(/${segment})+)" prefix != null;
  isIp = host: match "[0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F:.]+]" host != null;
  isRole = role: match "[A-Za-z0-9_-]+" role != null;
  ofTheCore = [
    "/graphql"
    "/.well-known/jwks.json"
    "/healthz"
  ];
  when = condition: message: if condition then [ message ] else [ ];

  problemsOf =
    prefix:
    let
      route = routes.${prefix};
      option = ''services.authstack.gateway.routes."${prefix}"'';
      withToken = route.requireToken != false;
      ofServer =
        server:
        let
          parts = import ./server-address.nix server;
        in
        if parts == null then
          [
            "${option}.servers: \"${server}\" is not ADDRESS:PORT or HOST:PORT, such as \"10.0.0.7:8080\" or \"[fd00::7]:8080\"."
          ]
        else
          when (!(isIp (head parts) || hasAttr (head parts) addresses))
            "${option}.servers: ${head parts} is neither an IP address nor a host of services.authstack.nodes; those are ${toString (attrNames addresses)}.";
    in
    when (!isPrefix prefix)
      "${option}: a route is a path such as \"/orders\", or a host and a path such as \"shop.example.org/orders\", of letters, digits, `.`, `_` and `-`, without a `/` at the end."
    ++ when (elem prefix ofTheCore) "${option}: this path is auth-core's own."
    ++ when (route.servers == { }) "${option}.servers is empty: name at least one."
    ++ when (
      route.roles != [ ] && !withToken
    ) "${option}.roles: who has which role is told by a token. Set requireToken = true, or \"live\"."
    ++
      when (route.limits.by == "subject" && !withToken && !route.apiKeys)
        "${option}.limits.by: whose request it is is told by a token or an API key. Set requireToken = true, apiKeys = true, or limits.by = \"address\"."
    ++
      when (route.requireClientCertificate && clientCa == null)
        "${option}.requireClientCertificate: whose certificates? Set services.authstack.gateway.tls.clientCa."
    ++ when (
      length route.limits.windows > 2
    ) "${option}.limits.windows: HAProxy counts in two windows at most, such as a minute and an hour."
    ++
      when (route.cacheSeconds > 0 && (withToken || route.apiKeys || route.sticky))
        "${option}.cacheSeconds: an answer is kept for everybody, so neither a token, an API key nor a cookie may be needed for it."
    ++ concatMap (
      role: when (!isRole role) "${option}.roles: \"${role}\" is no name of a role."
    ) route.roles
    ++ concatMap ofServer (attrNames route.servers);
in
concatMap problemsOf (attrNames routes)
