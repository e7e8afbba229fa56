# Questions about the fleet that several modules ask. A function, so that no internal option is needed for it.
{ config, lib }:
let
  cfg = config.services.authstack;
  isV6 = lib.hasInfix ":";
  ofVersion6 = lib.filter isV6;
  ofVersion4 = lib.filter (address: !isV6 address);
in
rec {
  # This host's entry. One without roles stands for a host outside of any fleet.
  self =
    cfg.nodes.${cfg.host} or {
      address = "127.0.0.1";
      roles = [ ];
    };
  has = role: lib.elem role self.roles;

  # { NAME = NODE; } of those with the role.
  withRole = role: lib.filterAttrs (_: node: lib.elem role node.roles) cfg.nodes;
  addresses = nodes: lib.unique (lib.mapAttrsToList (_: node: node.address) nodes);

  # A unit that listens on this host's address in the fleet. The address may come long after the boot: network-online.target waits
  # for the interface of the default gateway alone. So systemd must try for as long as it takes, and not give up after five times.
  waitingForAddress =
    unit:
    unit
    // {
      wants = unit.wants or [ ] ++ [ "network-online.target" ];
      after = unit.after or [ ] ++ [ "network-online.target" ];
      startLimitIntervalSec = 0;
      serviceConfig = unit.serviceConfig or { } // {
        RestartSec = 1;
      };
    };

  # "ADDRESS:PORT" of the Zipkin that spans go to, which is the first monitor's; null without a monitor.
  zipkin =
    let
      monitors = addresses (withRole "monitor");
    in
    if monitors == [ ] then null else endpoint (lib.head monitors) cfg.ports.zipkin;

  # As it stands before a colon and a port.
  bracketed = address: if isV6 address then "[${address}]" else address;
  endpoint = address: port: "${bracketed address}:${toString port}";
  # [ { name; address = "ADDRESS:PORT"; } ], as render/ takes it.
  targets =
    port: nodes:
    lib.mapAttrsToList (name: node: {
      inherit name;
      address = endpoint node.address port;
    }) nodes;

  # Firewall settings that let these addresses, and no others, reach a TCP port of this host.
  reachableFrom =
    from: port:
    accept from {
      iptables = address: "-p tcp -s ${address} --dport ${toString port}";
      nftables = "tcp dport ${toString port}";
    };
  # The same for all packets of an IP protocol.
  reachableByProtocol =
    protocol: from:
    accept from {
      iptables = address: "-p ${protocol} -s ${address}";
      nftables = "meta l4proto ${protocol}";
    };
  accept = from: rule: {
    extraInputRules = lib.mkIf config.networking.nftables.enable (
      lib.optionalString (ofVersion4 from != [ ]) ''
        ip saddr { ${lib.concatStringsSep ", " (ofVersion4 from)} } ${rule.nftables} accept
      ''
      + lib.optionalString (ofVersion6 from != [ ]) ''
        ip6 saddr { ${lib.concatStringsSep ", " (ofVersion6 from)} } ${rule.nftables} accept
      ''
    );
    extraCommands = lib.mkIf (!config.networking.nftables.enable) (
      lib.concatMapStrings (address: ''
        ${
          if isV6 address then "ip6tables" else "iptables"
        } -A nixos-fw ${rule.iptables address} -j nixos-fw-accept
      '') from
    );
  };

  # An assertion that a secret's file, if one is given, is not readable by everybody.
  notInStore = option: file: wayOut: {
    assertion = file == null || !lib.hasPrefix builtins.storeDir (toString file);
    message = ''
      ${option} is ${toString file}: that is in the Nix store, where every user of this machine can read it, as can everybody
      who gets a copy of the store. Keep the file elsewhere, for instance with sops-nix or agenix, and name it by a string,
      such as "/run/secrets/authstack". ${wayOut}
    '';
  };
}
