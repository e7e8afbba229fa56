# The option `services.authstack.gateway.routes`; what becomes of it is in render/haproxy/routes.nix.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (import ./render/defaults.nix) route;
in
mkOption {
  default = { };
  example = {
    "/orders" = {
      servers."orders1:9000" = { };
      servers."10.0.0.7:9000".weight = 50;
      requireToken = true;
    };
    "shop.example.org/admin" = {
      servers."10.0.0.8:9000" = { };
      requireToken = "live";
      roles = [ "admin" ];
    };
  };
  description = ''
    Services of your own behind the gateway, each by the prefix of its paths: `/orders` is for `/orders` and all below it, and not
    for `/ordersX`. The longest prefix wins. With a host before the path, as in the example, a route is for that host
    alone, and a host that has routes of its own has those alone; the certificate must be for that host, too, which is up to you
    ({option}`tls.file`, or `security.acme.certs.DOMAIN.extraDomainNames`). `/graphql` and `/.well-known/jwks.json` stay auth-core's on each host.
    The page on the gateway tells what reaches a service.
  '';
  type = types.attrsOf (
    types.submodule {
      options = {
        servers = mkOption {
          example = {
            "orders1:9000" = { };
            "10.0.0.7:9000".weight = 50;
          };
          description = "Where the service is: `HOST:PORT`, with a host of {option}`services.authstack.nodes` or an IP address (`[fd00::7]:9000`).";
          type = types.attrsOf (
            types.submodule {
              options.weight = mkOption {
                type = types.ints.between 0 256;
                default = 100;
                description = "Share of the requests, in proportion to the weights of the other servers; 0 for none.";
              };
            }
          );
        };
        stripPrefix = mkOption {
          type = types.bool;
          default = route.stripPrefix;
          description = "Whether the service gets the path without the route's prefix: `/7` for `/orders/7`.";
        };
        requireToken = mkOption {
          type = types.either types.bool (types.enum [ "live" ]);
          default = route.requireToken;
          description = ''
            Whether only requests with a good access token pass. The gateway checks it by itself, so a log-out counts when the
            token has expired. With `"live"` it asks a core, too, and a log-out, a disabled account or another role counts within
            a second.
          '';
        };
        roles = mkOption {
          type = types.listOf types.str;
          default = route.roles;
          example = [ "admin" ];
          description = "The roles of those who may pass; none for all who have a token.";
        };
        answerSeconds = mkOption {
          type = types.ints.between 1 3600;
          default = route.answerSeconds;
          description = "Timeout for the service's answer, and for each further part of it, in seconds.";
        };
        idleSeconds = mkOption {
          type = types.ints.between 1 86400;
          default = route.idleSeconds;
          description = "Timeout of a WebSocket, or of a stream of server-sent events (`Accept: text/event-stream`), on which nothing is sent, in seconds.";
        };
        bodyBytes = mkOption {
          type = types.nullOr types.ints.unsigned;
          default = route.bodyBytes;
          description = "The longest body of a request, in bytes; `null` for no limit. With a limit, a body must say by `Content-Length` how long it is.";
        };
      };
    }
  );
}
