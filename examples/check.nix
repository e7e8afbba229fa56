# Every example is a system that NixOS accepts, and what is ours of it builds.
{ pkgs }:
let
  inherit (pkgs) lib;
  hosts = {
    auth1 = ./single-node.nix;
    protected = {
      imports = [ ./protected-service.nix ];
      services.authstack.host = "auth1";
    };
  }
  // lib.genAttrs [
    "gate1"
    "gate2"
    "core1"
    "core2"
    "core3"
    "watch"
    "data1"
    "data2"
    "data3"
  ] (_: ./cluster.nix);

  built =
    name: example:
    let
      config =
        (pkgs.nixos [
          ../nixos-modules
          example
          {
            networking.hostName = name;
            # The examples leave out the disks and the boot loader.
            boot.isContainer = true;
            system.stateVersion = "26.05";
          }
        ]).config;
      refused = lib.filter (entry: !entry.assertion) config.assertions;
      ours = lib.filter (unit: config.systemd.units ? ${unit}) [
        "auth-core.service"
        "authstack-database-proxy.service"
        "authstack-backup.service"
        "etcd.service"
        "patroni.service"
        "haproxy.service"
        "prometheus.service"
        "alertmanager.service"
        "zipkin.service"
        "keepalived.service"
      ];
    in
    if refused != [ ] then
      throw "examples: ${name} is refused: ${(lib.head refused).message}"
    else
      pkgs.linkFarm "example-${name}" (
        map (unit: {
          name = unit;
          path = config.systemd.units.${unit}.unit;
        }) ours
      );
in
# The page shows the very file.
assert lib.hasInfix (lib.replaceStrings [ "\n" ] [ "\n   " ] (
  builtins.readFile ./protected-service.nix
)) (builtins.readFile ../docs/how-to/protect-my-service.md);
# A fleet of one, which says nothing of its roles, can be tested as docs/how-to/test-my-configuration.md tells.
assert
  (import ../vm-tests/stack.nix {
    inherit pkgs;
    inherit ((import ./single-node.nix).services.authstack) nodes;
  }).login.drvPath != "";
pkgs.linkFarm "examples" (
  lib.mapAttrsToList (name: example: {
    inherit name;
    path = built name example;
  }) hosts
)
