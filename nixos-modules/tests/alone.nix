# A host that needs one part imports that part's module alone, and gets that part alone.
{ pkgs }:
let
  inherit (pkgs) lib;
  units = {
    auth-core = "auth-core";
    gateway = "haproxy";
    monitoring = "prometheus";
  };

  unitsWith =
    module:
    let
      config =
        (pkgs.nixos [
          ../${module}.nix
          {
            networking.hostName = "auth1";
            services.authstack.domain = "auth.example.org";
            services.authstack.nodes.auth1 = { };
            system.stateVersion = "26.05";
          }
          (lib.optionalAttrs (module == "gateway") { services.authstack.gateway.tls.source = "internal-ca"; })
        ]).config;
      # As NixOS complains only when a whole system is built.
      complaints = map (entry: entry.message) (lib.filter (entry: !entry.assertion) config.assertions);
    in
    if lib.any (lib.hasInfix "authstack") complaints then
      throw "${module} alone: ${toString complaints}"
    else
      lib.filter (
        unit: config.systemd.services ? ${unit} && config.systemd.services.${unit}.serviceConfig ? ExecStart
      ) (lib.attrValues units);

  wrong = lib.filterAttrs (module: unit: unitsWith module != [ unit ]) units;
in
if wrong != { } then
  throw "a module alone does not give its own unit alone: ${lib.concatStringsSep ", " (lib.attrNames wrong)}"
else
  pkgs.emptyFile
