# `services.authstack.gateway`: HAProxy between the clients and the cores.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.gateway;
  fleet = import ./fleet.nix { inherit config lib; };
  cores = fleet.withRole "core";
  gateways = fleet.withRole "gateway";
  severalGateways = fleet.has "gateway" && lib.length (lib.attrNames gateways) > 1;

  madeCertificates = "/var/lib/authstack/certificates";
  certificate =
    {
      acme = "${config.security.acme.certs.${stack.domain}.directory}/full.pem";
      file = toString cfg.tls.file;
      internal-ca = "${madeCertificates}/gateway.pem";
    }
    .${cfg.tls.source};

  # What makes a certificate to begin with. That of `acme` is self-signed, until the ordered one is there.
  certificateUnits =
    {
      acme = [ "acme-${stack.domain}.service" ];
      file = [ ];
      internal-ca = [ "authstack-certificate.service" ];
    }
    .${cfg.tls.source};

  # systemd hands out credentials at start only, and a renewed certificate must not cost a restart. So the certificate is
  # copied, at start and at each reload, by root to where HAProxy alone can read it.
  loadedCertificate = "/run/haproxy/gateway.pem";
  loadCertificate = "${lib.getExe' pkgs.coreutils "install"} --mode=0400 --owner=${config.services.haproxy.user} ${certificate} ${loadedCertificate}";
  # A certificate or a setting that HAProxy cannot use is refused, and what runs goes on as it is.
  reload = pkgs.writeShellScript "reload-haproxy" ''
    set -e
    export PATH=${lib.makeBinPath [ pkgs.coreutils ]}
    ${loadCertificate}
    ${lib.getExe config.services.haproxy.package} -c -f /etc/haproxy.cfg
    ln -sf ${lib.getExe config.services.haproxy.package} /run/haproxy/haproxy
    kill -USR2 "$MAINPID"
  '';

  # Each gateway orders a certificate for itself, and the authority asks the one that has the domain's address: it asks the others.
  acmePort = 1360;
  acmeAddress = if severalGateways then fleet.self.address else "127.0.0.1";

  configText = import ./render/haproxy.nix {
    listen = lib.concatMapStringsSep "," (address: fleet.endpoint address 443) cfg.listenAddresses;
    listenPlain = lib.concatMapStringsSep "," (address: fleet.endpoint address 80) cfg.listenAddresses;
    statsListen = fleet.endpoint fleet.self.address stack.ports.gatewayMetrics;
    certificate = loadedCertificate;
    hosts = [ stack.domain ];
    acmeChallenge = lib.optionals (cfg.tls.source == "acme") (
      if severalGateways then
        fleet.targets acmePort gateways
      else
        [
          {
            name = "acme";
            address = fleet.endpoint acmeAddress acmePort;
          }
        ]
    );
    gateways =
      if severalGateways then
        {
          self = stack.host;
          all = fleet.targets stack.ports.gatewayPeers gateways;
        }
      else
        null;
    lua = name: "${./render/haproxy + "/${name}"}";
    spans = if gatewaySpans.collector == null then null else gatewaySpans.socket;
    inherit (defaults) connections;
    inherit (cfg)
      answerSeconds
      cors
      hstsSeconds
      limits
      ;
    tlsProfile = cfg.tls.profile;
    inherit (cfg.tls) requireClientCertificate;
    clientCa = if cfg.tls.clientCa == null then null else toString cfg.tls.clientCa;
    coreCa = stack.internalTls.ca;
    nodes = lib.mapAttrsToList (name: node: {
      inherit name;
      inherit (node) weight;
      address = fleet.endpoint node.address stack.ports.core;
    }) cores;
    # A route that is wrong is told of below.
    routes = lib.optionalAttrs (routeProblems == [ ]) cfg.routes;
    inherit addresses;
    edge = {
      # As the cores' settings have it, which all hosts share.
      issuer = (stack.auth-core.settings or { }).tokens.issuer or "https://${stack.domain}";
      audience =
        (stack.auth-core.settings or { }).tokens.audience or (import ./render/defaults.nix).edge.audience;
      keyDirectory = edgeKeys.directory;
      askCore = "${./render/haproxy/ask-core.lua}";
      askSocket = "/run/haproxy/ask-core.sock";
      inherit (edgeKeys) runtimeSocket;
    };
  };

  addresses = lib.mapAttrs (_: node: node.address) stack.nodes;
  routeProblems = import ./render/haproxy/route-problems.nix {
    inherit (cfg) routes;
    inherit addresses;
    inherit (cfg.tls) clientCa;
  };
  takesApiKeys = lib.any (route: route.apiKeys) (lib.attrValues cfg.routes);
  needsKeys =
    takesApiKeys || lib.any (route: route.requireToken != false) (lib.attrValues cfg.routes);
  edgeKeys = import ./edge-keys.nix {
    inherit
      config
      lib
      pkgs
      takesApiKeys
      ;
  };
  gatewaySpans = import ./gateway-spans.nix { inherit config lib pkgs; };

  # The very file that HAProxy will read, with a certificate of the moment in the place of the server's.
  checkedConfig =
    pkgs.runCommand "haproxy-checked"
      {
        nativeBuildInputs = [
          config.services.haproxy.package
          pkgs.openssl
        ];
      }
      ''
        openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=check -keyout key.pem -out gateway.pem 2>/dev/null
        cat key.pem >> gateway.pem
        ${edgeKeys.prepare} keys
        sed "s|${loadedCertificate}|$PWD/gateway.pem|; s|${edgeKeys.directory}/|$PWD/keys/|; s|ca-file [^ ]*|ca-file $PWD/gateway.pem|" ${
          config.environment.etc."haproxy.cfg".source
        } > haproxy.cfg
        haproxy -c -f haproxy.cfg
        touch $out
      '';

  defaults = (import ./render/defaults.nix).gateway;
  routeOptions = import ./route-options.nix { inherit lib; };

  limit =
    what: default:
    mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            count = mkOption {
              type = types.ints.positive;
              description = "How many are allowed.";
            };
            seconds = mkOption {
              type = types.ints.between 1 86400;
              description = "In how many seconds; refused requests get this as `Retry-After`, too.";
            };
          };
        }
      );
      inherit default;
      description = "Rate limit: ${what} from one client address (IPv6: one /64 network); `null` for no limit.";
    };
in
{
  imports = [
    ./nodes.nix
    ./virtual-addresses.nix
  ];

  options.services.authstack.gateway = {
    enable = lib.mkEnableOption "the gateway: TLS, limits, health checks, retries" // {
      default = fleet.has "gateway";
      defaultText = lib.literalMD "whether this host's roles have `gateway`";
    };

    listenAddresses = mkOption {
      type = types.listOf types.str;
      default = [
        "0.0.0.0"
      ]
      ++ lib.optional config.networking.enableIPv6 "::";
      defaultText = lib.literalMD "all";
      description = "Addresses that clients connect to: HTTPS on port 443, redirects to HTTPS on port 80.";
    };

    openFirewall = lib.mkEnableOption "access to ports 80 and 443 for everybody";

    tls = {
      source = mkOption {
        type = types.enum [
          "acme"
          "file"
          "internal-ca"
        ];
        default = "acme";
        description = ''
          Where the certificate comes from: `acme` gets it from Let's Encrypt (or what `security.acme` names), and renews it;
          `file` is {option}`tls.file`; `internal-ca` is made on first start by a certificate authority of this host's own, for
          tests: clients must be told to trust {file}`${madeCertificates}/ca.pem`.
        '';
      };
      file = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/run/secrets/gateway.pem";
        description = ''
          PEM file with the certificate, its chain and its private key. Read by root. After you replace it,
          `systemctl reload haproxy` takes it up without dropping a connection.
        '';
      };
      profile = mkOption {
        type = types.enum [
          "intermediate"
          "modern"
        ];
        default = defaults.tlsProfile;
        description = "Mozilla's TLS profile: `intermediate` accepts TLS 1.2 and 1.3, `modern` TLS 1.3 alone.";
      };
    };

    tls.clientCa = mkOption {
      type = types.nullOr types.path;
      default = defaults.clientCa;
      example = "/etc/authstack/clients-ca.pem";
      description = ''
        PEM file with the certificate authorities of your clients (mutual TLS). Clients may then show a certificate of theirs, and
        services are told its common name as `X-Auth-Certificate`. HAProxy's user reads the file at each reload.
      '';
    };
    tls.requireClientCertificate = mkOption {
      type = types.bool;
      default = defaults.requireClientCertificate;
      description = "Whether each client has to show a certificate, or only those of routes that ask for it.";
    };

    answerSeconds = mkOption {
      type = types.ints.between 1 300;
      default = defaults.answerSeconds;
      description = ''
        Timeout for the answer of a core, in seconds. After that a request that can be repeated without harm (a query, or a
        mutation with an `Idempotency-Key`) is retried on another core; any other is answered with 504. Keep it below the
        timeout of your clients, so that a core that hangs costs them no error.
      '';
    };

    routes = mkOption {
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
      type = types.attrsOf (types.submodule routeOptions.route);
    };

    cors = routeOptions.cors defaults.cors;

    hstsSeconds = mkOption {
      type = types.ints.unsigned;
      default = defaults.hstsSeconds;
      description = "`max-age` of the header `Strict-Transport-Security` (HSTS, RFC 6797), in seconds; 0 for no such header.";
    };

    limits = {
      requests = limit "requests" defaults.limits.requests;
      hashes = limit "requests that may cost a password hash, whatever their outcome (sign-ups, log-ins, changes of password, deletions of accounts)," defaults.limits.hashes;
      failedLogIns = limit "failed log-ins, as in password spraying and credential stuffing," defaults.limits.failedLogIns;
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      (lib.mkIf needsKeys edgeKeys.units)
      (lib.mkIf (gatewaySpans.collector != null) gatewaySpans.units)
      {
        assertions = [
          (fleet.notInStore "services.authstack.gateway.tls.file" cfg.tls.file
            "Or set tls.source = \"acme\", which needs no file."
          )
          {
            assertion = (cfg.tls.source == "file") == (cfg.tls.file != null);
            message = ''
              services.authstack.gateway.tls.source is "${cfg.tls.source}", but tls.file is ${
                if cfg.tls.file == null then
                  "not set. Set it to the PEM file"
                else
                  "set. Set tls.source to \"file\""
              }, or choose another tls.source.
            '';
          }
          {
            assertion = cfg.tls.requireClientCertificate -> cfg.tls.clientCa != null;
            message = "services.authstack.gateway.tls.requireClientCertificate: whose certificates? Set services.authstack.gateway.tls.clientCa.";
          }
          {
            assertion = cores != { };
            message = ''
              services.authstack.gateway has nobody to send requests to: give at least one of services.authstack.nodes the role "core".
            '';
          }
        ]
        ++ map (message: {
          assertion = false;
          inherit message;
        }) routeProblems;

        services.haproxy = {
          enable = true;
          config = configText;
        };

        systemd.services.haproxy = fleet.waitingForAddress {
          wants = certificateUnits;
          after = certificateUnits;
          # The authority asks for the proof on port 80.
          before = lib.optional (cfg.tls.source == "acme") "acme-order-renew-${stack.domain}.service";
          # New settings are taken up without dropping a connection. The trigger makes the check part of the system's build.
          reloadIfChanged = true;
          restartTriggers = [ checkedConfig ];
          serviceConfig = {
            ExecStartPre = lib.mkBefore (
              [ "+${loadCertificate}" ] ++ lib.optional needsKeys "+${edgeKeys.prepare} ${edgeKeys.directory}"
            );
            ExecReload = lib.mkForce [ "+${reload}" ];
          };
        };

        security.acme.certs = lib.mkIf (cfg.tls.source == "acme") {
          ${stack.domain} = {
            listenHTTP = fleet.endpoint acmeAddress acmePort;
            reloadServices = [ "haproxy.service" ];
          };
        };
        # An order fails while the name does not lead here yet or the authority is away: it is tried again, each quarter of an hour.
        systemd.services."acme-order-renew-${stack.domain}" = lib.mkIf (cfg.tls.source == "acme") {
          serviceConfig.Restart = "on-failure";
        };

        systemd.services.authstack-certificate = lib.mkIf (cfg.tls.source == "internal-ca") (
          import ./internal-certificate.nix {
            inherit pkgs;
            inherit (stack) domain;
          }
        );

        networking.firewall = lib.mkMerge [
          (lib.mkIf cfg.openFirewall {
            allowedTCPPorts = [
              80
              443
            ];
          })
          (lib.mkIf stack.openFirewall (
            fleet.reachableFrom (fleet.addresses (fleet.withRole "monitor")) stack.ports.gatewayMetrics
          ))
          (lib.mkIf (stack.openFirewall && severalGateways) (
            lib.mkMerge (
              map (fleet.reachableFrom (fleet.addresses (removeAttrs gateways [ stack.host ]))) (
                [ stack.ports.gatewayPeers ] ++ lib.optional (cfg.tls.source == "acme") acmePort
              )
            )
          ))
        ];
      }
    ]
  );
}
