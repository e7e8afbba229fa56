# The options of a route through the gateway to a service.
{ lib }:
let
  inherit (lib) mkOption types;
  defaults = (import ./render/defaults.nix).route;

  address = types.strMatching "[0-9a-fA-F:.]+(/[0-9]{1,3})?";
  headerName = types.strMatching "[A-Za-z0-9-]+";
  flag =
    name: description:
    mkOption {
      type = types.bool;
      default = defaults.${name};
      inherit description;
    };

  server = {
    options.weight = mkOption {
      type = types.ints.between 0 256;
      default = 100;
      description = "Share of the requests, in proportion to the weights of the other servers; 0 for none.";
    };
  };

  window = {
    options = {
      count = mkOption {
        type = types.ints.positive;
        description = "How many requests are allowed.";
      };
      seconds = mkOption {
        type = types.ints.between 1 86400;
        description = "In how many seconds; refused requests get this as `Retry-After`, too.";
      };
    };
  };

  corsOptions.options = {
    origins = mkOption {
      type = types.nonEmptyListOf (types.strMatching "https?://[a-z0-9.-]+(:[0-9]+)?");
      example = [ "https://app.example.org" ];
      description = "The origins whose pages may call, exactly as browsers send them.";
    };
    methods = mkOption {
      type = types.nonEmptyListOf (types.strMatching "[A-Z]+");
      default = [
        "GET"
        "POST"
      ];
      description = "The methods they may use.";
    };
    headers = mkOption {
      type = types.listOf headerName;
      default = [
        "authorization"
        "content-type"
        "idempotency-key"
      ];
      description = "The headers they may send.";
    };
    exposeHeaders = mkOption {
      type = types.listOf headerName;
      default = [
        "ratelimit"
        "retry-after"
        "x-request-id"
      ];
      description = "The headers of an answer they may read.";
    };
    credentials = mkOption {
      type = types.bool;
      default = false;
      description = "Whether browsers send cookies, too.";
    };
    maxAgeSeconds = mkOption {
      type = types.ints.between 0 86400;
      default = 600;
      description = "How long browsers may keep the answer to a preflight, in seconds.";
    };
  };
in
rec {
  cors =
    default:
    mkOption {
      type = types.nullOr (types.submodule corsOptions);
      inherit default;
      example.origins = [ "https://app.example.org" ];
      description = ''
        Pages of which other origins may call, from a browser (CORS). The gateway answers preflights; `null` for none, which is what
        browsers hold to by themselves. Other programs than browsers are not kept out by this.
      '';
    };

  route.options = {
    servers = mkOption {
      type = types.attrsOf (types.submodule server);
      example = {
        "orders1:9000" = { };
        "10.0.0.7:9000".weight = 50;
      };
      description = "Where the service is: `HOST:PORT`, with a host of {option}`services.authstack.nodes` or an IP address (`[fd00::7]:9000`).";
    };
    stripPrefix = flag "stripPrefix" "Whether the service gets the path without the route's prefix: `/7` for `/orders/7`.";

    requireToken = mkOption {
      type = types.either types.bool (types.enum [ "live" ]);
      default = defaults.requireToken;
      description = ''
        Whether only requests with a good access token pass. The gateway checks it by itself, so a log-out counts when the
        token has expired. With `"live"` it asks a core, too, and a log-out, a disabled account or another role counts within
        a second.
      '';
    };
    apiKeys = flag "apiKeys" ''
      Whether machines pass by an API key (`auth-core api-key add NAME --scope ROUTE`), sent as `X-API-Key`: in the place of a token,
      or as the only way if {option}`requireToken` is `false`. {option}`roles` are for tokens alone.
    '';
    roles = mkOption {
      type = types.listOf types.str;
      default = defaults.roles;
      example = [ "admin" ];
      description = "The roles of those who may pass; none for all who have a token.";
    };
    requireClientCertificate = flag "requireClientCertificate" "Whether only clients with a certificate of {option}`services.authstack.gateway.tls.clientCa` pass.";
    allow = mkOption {
      type = types.listOf address;
      default = defaults.allow;
      example = [ "10.0.0.0/8" ];
      description = "The client addresses and networks that the route is for; none for all.";
    };
    deny = mkOption {
      type = types.listOf address;
      default = defaults.deny;
      example = [ "203.0.113.0/24" ];
      description = "The client addresses and networks that the route is not for.";
    };
    cors = cors defaults.cors;

    limits = {
      windows = mkOption {
        type = types.listOf (types.submodule window);
        default = defaults.limits.windows;
        description = ''
          How many requests one client may make in each of these windows of time, at all gateways together; two at most, none for no
          limit. Answers tell what is left (`RateLimit`, `RateLimit-Policy`), and a refused request (429) does not count. Besides, all
          that a client address asks of the gateway counts for {option}`services.authstack.gateway.limits.requests`.
        '';
      };
      by = mkOption {
        type = types.enum [
          "address"
          "subject"
        ];
        default = defaults.limits.by;
        description = "Who is one client: an address (IPv6: a /64 network), or the account of the token or the API key that a request comes with.";
      };
    };
    bodyBytes = mkOption {
      type = types.nullOr types.ints.unsigned;
      default = defaults.bodyBytes;
      description = "The longest body of a request, in bytes; `null` for no limit. With a limit, a body must say by `Content-Length` how long it is.";
    };

    answerSeconds = mkOption {
      type = types.ints.between 1 3600;
      default = defaults.answerSeconds;
      description = ''
        Timeout for the service's answer, and for each further part of it, in seconds. After that, and when a server breaks off, a
        GET, HEAD or OPTIONS request is retried on another server.
      '';
    };
    idleSeconds = mkOption {
      type = types.ints.between 1 86400;
      default = defaults.idleSeconds;
      description = "Timeout of a WebSocket, or of a stream of server-sent events (`Accept: text/event-stream`), on which nothing is sent, in seconds.";
    };

    balance = mkOption {
      type = types.enum [
        "roundrobin"
        "leastconn"
      ];
      default = defaults.balance;
      description = "How requests are spread: in turn, or to the server with the fewest connections. Both by weight.";
    };
    sticky = flag "sticky" "Whether a browser stays with the server that answered it first, by a cookie.";
    serverHeader = mkOption {
      type = types.nullOr headerName;
      default = defaults.serverHeader;
      example = "X-Server";
      description = "A header by which a request chooses its server by name, as written in {option}`servers`: for trying out a canary.";
    };
    slowStartSeconds = mkOption {
      type = types.ints.between 0 3600;
      default = defaults.slowStartSeconds;
      description = "How long the share of a server that came back grows to its weight, in seconds.";
    };
    requestsPerServer = mkOption {
      type = types.nullOr types.ints.positive;
      default = defaults.requestsPerServer;
      description = "How many requests a server gets at a time; more wait in the gateway's queue for a few seconds, then get 503. `null` for any number.";
    };
    health = {
      by = mkOption {
        type = types.enum [
          "tcp"
          "http"
          "graphql"
        ];
        default = defaults.health.by;
        description = "How the gateway asks for a server's health: by a connection, by a GET that must be answered with 2xx, or by the GraphQL query `{__typename}`.";
      };
      path = mkOption {
        type = types.strMatching "/[A-Za-z0-9/._-]*";
        default = defaults.health.path;
        example = "/healthz";
        description = "Where it asks.";
      };
      host = mkOption {
        type = types.strMatching "[A-Za-z0-9.-]+";
        default = defaults.health.host;
        description = "The `Host` it asks for.";
      };
    };
    circuitBreaker = mkOption {
      type = types.nullOr (types.ints.between 1 1000);
      default = defaults.circuitBreaker;
      example = 10;
      description = ''
        After how many errors in a row (no answer, or a status of 500 and above) a server gets no more requests, until two checks of its
        health have succeeded; then its share grows from nothing. Whoever knows a request that makes the service fail can use this against
        all others, so it is off by default.
      '';
    };

    compress = flag "compress" ''
      Whether answers are compressed by gzip. Leave it off where an answer holds both a secret and something that the client sent: its
      length then tells of the secret (BREACH).
    '';
    cacheSeconds = mkOption {
      type = types.ints.between 0 86400;
      default = defaults.cacheSeconds;
      description = ''
        How long the gateway may keep an answer for everybody, in seconds, as far as the service's `Cache-Control` and `Vary` allow; 0 for
        not at all. What was asked for with `Authorization` or a cookie, or sets one, is never kept.
      '';
    };
    maintenance = flag "maintenance" "Whether the route answers 503 (`MAINTENANCE`) instead of asking its servers.";
  };
}
