# The lab's stack: which processes run, on which loopback address, with which configuration.
#
# Evaluated by `lab` with builtins alone; every configuration comes from nixos-modules/render, so that what runs here is what
# NixOS deploys. Answers { parts = [ … ]; leftOut = [ … ]; missing = [ … ]; defaults; }, which lab/src/topology.rs describes.
#
# `settings` is JSON text:
#   topology   "single" (two nodes on one SQLite file), "cluster" (two gateways, three nodes on PostgreSQL), or "ha" (the same, on a
#              PostgreSQL that survives its machine)
#   network    the first three bytes of the loopback network that is the stack's own, such as "127.77.0"
#   directory  where state and configuration live; made, and filled with keys and certificates, by `lab`
#   scratch    an empty directory outside of it for PostgreSQL, which does not run as root
#   programs   { NAME = PATH; } of every program that was found
#   zipkinServer  path of Zipkin's server, a jar or what was in it; null where there is none
#   tlsProfile the gateway's profile of TLS; null for the default
#   gateway    settings of the gateway in the place of the lab's own, as nixos-modules/render/haproxy.nix takes them; null for none
#   internalTls whether gateways and Prometheus reach the nodes by TLS
#   scrypt     scrypt's cost for new passwords, { log_n, r, p }; null for auth-core's own default
#   parts      the names of the parts to run; null for all
{ settings }:
let
  lab = builtins.fromJSON settings;
  inherit (lab) directory scratch;
  programs =
    lab.programs // (if lab.zipkinServer == null then { } else { zipkin-server = lab.zipkinServer; });
  render = ../nixos-modules/render;
  defaults = import (render + "/defaults.nix");
  port = builtins.mapAttrs (_: toString) defaults.ports;

  address = {
    gateway = "${lab.network}.1";
    gateway2 = "${lab.network}.2";
    auth = number: "${lab.network}.${toString (10 + number)}";
    postgres = "${lab.network}.20";
    prometheus = "${lab.network}.21";
    alertmanager = "${lab.network}.22";
    node-exporter = "${lab.network}.23";
    zipkin = "${lab.network}.24";
    grafana = "${lab.network}.25";
    postgres-exporter = "${lab.network}.26";
    probe = "${lab.network}.27";
    sample1 = "${lab.network}.31";
    sample2 = "${lab.network}.32";
    etcd = number: "${lab.network}.4${number}";
    member = number: "${lab.network}.5${number}";
  };

  onPostgres = lab.topology != "single";
  # The part at `address.postgres`, and who owns the cores' database there.
  databasePart = if lab.topology == "ha" then "database" else "postgres";
  databaseUrl =
    if lab.topology == "ha" then
      "postgres://authcore@${address.postgres}:5432/authcore"
    else
      "postgres://authcore@${address.postgres}:5432/postgres";
  replicaUrl =
    if lab.topology == "ha" then
      "postgres://authcore@${address.postgres}:${port.postgresqlReplicas}/authcore"
    else
      null;
  nodes =
    map
      (number: {
        name = "auth${toString number}";
        address = "${address.auth number}:${port.core}";
      })
      (
        if onPostgres then
          [
            1
            2
            3
          ]
        else
          [
            1
            2
          ]
      );

  requested = name: lab.parts == null || builtins.elem name lab.parts;
  # A part that is not run is not scraped either, nor sent anything.
  wanted =
    name:
    requested name
    && builtins.all (part: part.name != name) leftOut
    && builtins.all (part: part.name != name || wanted part.uselessWithout) (
      builtins.filter (part: part ? uselessWithout) all
    );
  runningNodes = builtins.filter (node: wanted node.name) nodes;
  optionals = condition: list: if condition then list else [ ];

  own = name: "${directory}/parts/${name}";
  http = url: {
    kind = "http";
    inherit url;
  };
  gateways = [ "gateway" ] ++ optionals onPostgres [ "gateway2" ];
  runningGateways = builtins.filter wanted gateways;
  nodeScheme = if lab.internalTls then "https" else "http";
  coreCa = if lab.internalTls then "${directory}/keys/ca.pem" else null;
  # Of tokens.
  issuer = "https://${address.gateway}:8443";

  # Of each PostgreSQL.
  postgresqlParameters = {
    max_connections = 60;
    # After a crash all of it is written to the disk at once, and not a thousand files one by one, which takes seconds.
    recovery_init_sync_method = "syncfs";
    # In its own folder: what it has in /dev/shm stays there when it is killed.
    dynamic_shared_memory_type = "mmap";
  };

  # What the files of the parts know of the whole.
  stack = {
    inherit
      address
      coreCa
      databasePart
      databaseUrl
      defaults
      directory
      gateways
      http
      issuer
      lab
      nodeScheme
      nodes
      onPostgres
      optionals
      own
      port
      postgresqlParameters
      programs
      render
      replicaUrl
      runningGateways
      runningNodes
      scratch
      wanted
      ;
  };
  all =
    optionals (lab.topology == "cluster") (import ./topology/database.nix stack)
    ++ optionals (lab.topology == "ha") (import ./topology/database-cluster.nix stack)
    ++ import ./topology/cores.nix stack
    ++ (import ./topology/services.nix stack).parts
    ++ import ./topology/gateways.nix stack
    ++ import ./topology/monitoring.nix stack;

  missing = part: builtins.filter (program: !(programs ? ${program})) part.needs;
  # Users are served without these.
  leftOut = builtins.filter (
    part: requested part.name && part.optional or false && missing part != [ ]
  ) all;
  running = builtins.filter (part: wanted part.name) all;
  missingPrograms = builtins.foldl' (
    found: program: if builtins.elem program found then found else found ++ [ program ]
  ) [ ] (builtins.concatMap missing running);
in
{
  inherit defaults;
  leftOut = map (part: {
    inherit (part) name;
    missing = missing part;
  }) leftOut;
  # What the others cannot be started without; there are no parts then.
  missing = missingPrograms;
  parts = optionals (missingPrograms == [ ]) running;
}
