# The gateways, and beside each what brings it the keys that verify tokens, and what reports its spans.
stack:
let
  inherit (stack)
    address
    coreCa
    defaults
    directory
    gateways
    http
    issuer
    lab
    nodeScheme
    optionals
    own
    port
    programs
    render
    runningGateways
    runningNodes
    wanted
    ;
  inherit (import ./services.nix stack) labRoutes routesTo;

  changed = if lab.gateway == null then { } else lab.gateway;
  # What brings the keys to a gateway. HAProxy reads them at its start, and at each reload.
  edgeKeys = gateway: {
    name = "${gateway}-keys";
    kind = "auth-core";
    url = "file://${own gateway}/keys/kids.map";
    listens = [ ];
    files = { };
    command = [
      programs.auth-core
      "keys"
      "follow"
      "--to"
      "${own gateway}/keys"
    ]
    # No patience in the lab.
    ++ [
      "--slots"
      (toString defaults.edge.keySlots)
      "--every"
      "1"
    ]
    ++ [
      "--api-keys"
      "${own gateway}/api-keys.sock"
    ]
    ++ optionals (coreCa != null) [
      "--ca"
      coreCa
    ]
    ++ map (node: "${nodeScheme}://${node.address}") runningNodes
    ++ [
      "--"
      "sh"
      "-c"
      "pid=$(cat ${own gateway}/haproxy.pid) && grep -qs haproxy /proc/$pid/comm && kill -USR2 $pid || true"
    ];
    ready = {
      kind = "command";
      command = [
        "grep"
        "-q"
        "ES256"
        "${own gateway}/keys/kids.map"
      ];
    };
    # Before the gateway, which so has them from the beginning: HAProxy loses a signal that comes while it starts.
    after = map (node: node.name) runningNodes;
    needs = [ "auth-core" ];
  };
  # Until there are some: any key will do, as none is in the map.
  noKeys = {
    "keys/kids.map" = "";
    "keys/api-keys.map" = "";
  }
  // builtins.listToAttrs (
    builtins.genList (number: {
      name = "keys/${toString (number + 1)}.pem";
      value = builtins.readFile (render + "/haproxy/no-key.pem");
    }) defaults.edge.keySlots
  );

  # What reports a gateway's spans, where there is a Zipkin.
  spans = gateway: {
    name = "${gateway}-spans";
    kind = "auth-core";
    url = "file://${spansSocket gateway}";
    listens = [ ];
    files = { };
    command = [
      programs.auth-core
      "gateway-spans"
      "--listen"
      (spansSocket gateway)
      "--zipkin"
      "http://${address.zipkin}:${port.zipkin}/api/v2/spans"
    ];
    ready = {
      kind = "command";
      command = [
        "test"
        "-S"
        (spansSocket gateway)
      ];
    };
    after = [ ];
    needs = [ "auth-core" ];
    uselessWithout = "zipkin";
  };
  spansSocket = gateway: "${own gateway}/spans.sock";

  gateway = name: rec {
    inherit name;
    kind = "haproxy";
    url = "https://${address.${name}}:8443";
    pages = {
      "statistics" = "http://${address.${name}}:${port.gatewayMetrics}/stats";
    };
    listens = [
      "${address.${name}}:8443"
      "${address.${name}}:${port.gatewayMetrics}"
    ];
    files = noKeys // {
      "haproxy.cfg" = import (render + "/haproxy.nix") (
        defaults.gateway
        // {
          listen = "${address.${name}}:8443";
          statsListen = "${address.${name}}:${port.gatewayMetrics}";
          certificate = "${directory}/keys/gateway.pem";
          inherit coreCa;
          hosts = [
            address.${name}
            "localhost"
          ];
          nodes = runningNodes;
          spans = if wanted "${name}-spans" then spansSocket name else null;
          gateways =
            if builtins.length runningGateways > 1 then
              {
                self = name;
                all = map (name: {
                  inherit name;
                  address = "${address.${name}}:${port.gatewayPeers}";
                }) runningGateways;
              }
            else
              null;
          lua = name: toString (render + "/haproxy/${name}");
          extraGlobal = [ "stats socket ${own name}/admin.sock mode 600 level admin expose-fd listeners" ];
          routes = routesTo (changed.routes or labRoutes);
          addresses = { inherit (address) sample1 sample2; };
          edge = {
            inherit issuer;
            keyDirectory = "${own name}/keys";
            askCore = toString (render + "/haproxy/ask-core.lua");
            askSocket = "${own name}/ask.sock";
            runtimeSocket = "${own name}/api-keys.sock";
          };
        }
        // removeAttrs changed [ "routes" ]
        // (if lab.tlsProfile == null then { } else { inherit (lab) tlsProfile; })
      );
    };
    # HAProxy takes a node for healthy until its first check has failed: it had better not begin before them.
    after = map (node: node.name) runningNodes ++ optionals (wanted "${name}-keys") [ "${name}-keys" ];
    # With a master, which takes up new keys by SIGUSR2 without dropping a connection, as NixOS' HAProxy does.
    needs = [ "haproxy" ];
    command = [
      programs.haproxy
      "-W"
      "-db"
      "-p"
      "${own name}/haproxy.pid"
      "-f"
      "${own name}/haproxy.cfg"
    ];
    # Not at the clients' address: there it may ask for a certificate.
    ready = http "http://${address.${name}}:${port.gatewayMetrics}/healthz";
  };
in
map edgeKeys gateways ++ map spans gateways ++ map gateway gateways
