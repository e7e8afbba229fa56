# `services.authstack.gateway.virtualAddresses`: addresses that one of several gateways has, by VRRP (RFC 5798): the one that can serve.
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
  gateways = fleet.withRole "gateway";
  others = fleet.addresses (removeAttrs gateways [ stack.host ]);

  sameVersion = entry: lib.hasInfix ":" entry.address == lib.hasInfix ":" fleet.self.address;
  advertised = lib.partition sameVersion cfg.virtualAddresses;
  asKeepalived = entry: {
    addr = entry.address;
    dev = entry.interface;
  };

  has =
    address: interface:
    lib.any (entry: entry.address == address) (interface.ipv4.addresses ++ interface.ipv6.addresses);
  interfaces = lib.attrNames (
    lib.filterAttrs (_: has fleet.self.address) config.networking.interfaces
  );

  # The gateway that can serve has the address. When none can, because the cores are down, whoever says so keeps it: an error with a code is better
  # than no answer. Who hears nothing from the others either is cut off, and lets go.
  check = pkgs.writeShellApplication {
    name = "check-gateway";
    runtimeInputs = [ pkgs.curl ];
    text = ''
      status() { curl --silent --output /dev/null --max-time 0.5 --write-out '%{http_code}' "http://$1/healthz" || true; }

      own=$(status ${fleet.endpoint fleet.self.address stack.ports.gatewayMetrics})
      # A moment's pause is not the end.
      [ "$own" != 000 ] || own=$(status ${fleet.endpoint fleet.self.address stack.ports.gatewayMetrics})
      case $own in
        200) exit 0 ;;
        503) ;;
        *) exit 1 ;;
      esac
      others=(${toString (map (address: fleet.endpoint address stack.ports.gatewayMetrics) others)})
      alone=yes
      for other in "''${others[@]}"; do
        case $(status "$other") in
          200) exit 1 ;;
          503) alone=no ;;
        esac
      done
      [ $alone = no ]
    '';
  };
in
{
  options.services.authstack.gateway = {
    virtualAddresses = mkOption {
      type = types.listOf (
        types.submodule {
          options = {
            address = mkOption {
              type = types.strMatching "[0-9a-fA-F.:]+/[0-9]+";
              example = "192.0.2.10/24";
              description = "IP address, with the length of its network's prefix.";
            };
            interface = mkOption {
              type = types.str;
              example = "eth0";
              description = "Network interface that gets it.";
            };
          };
        }
      );
      default = [ ];
      example = [
        {
          address = "192.0.2.10/24";
          interface = "eth0";
        }
      ];
      description = ''
        Addresses of the domain that one of the gateways has at a time, by VRRP: when it fails, another takes them within three
        seconds. The first gateway by name gets them when all start together; after that they stay where they are as long as that gateway can
        serve, since each move breaks the connections that are open. {option}`listenAddresses` must include them, as its default does.
      '';
    };

    vrrpInterface = mkOption {
      type = types.nullOr types.str;
      default = if interfaces == [ ] then null else lib.head interfaces;
      defaultText = lib.literalMD "the one of {option}`networking.interfaces` that has this host's address in the fleet";
      example = "eth1";
      description = "Network interface with this host's address in the fleet, over which the gateways hear of each other.";
    };
  };

  config = lib.mkIf (cfg.enable && cfg.virtualAddresses != [ ]) {
    assertions = [
      {
        assertion = others != [ ];
        message = ''
          services.authstack.gateway.virtualAddresses has no use with a single gateway: give another of services.authstack.nodes the role "gateway".
        '';
      }
      {
        assertion = cfg.vrrpInterface != null || others == [ ];
        message = ''
          services.authstack.gateway.vrrpInterface must be set: none of networking.interfaces has ${fleet.self.address}, this host's address in the fleet.
        '';
      }
      {
        assertion = advertised.right != [ ];
        message = ''
          services.authstack.gateway.virtualAddresses must have an address of the same version of IP as ${fleet.self.address}, this host's address in the fleet.
        '';
      }
    ];

    services.keepalived = {
      enable = true;
      enableScriptSecurity = true;
      vrrpScripts.authstack = {
        script = lib.getExe check;
        interval = 1;
        # Longer than the script takes at most.
        timeout = 2;
        fall = 1;
        rise = 2;
        user = "nobody";
      };
      vrrpInstances.authstack = {
        interface = if cfg.vrrpInterface == null then "unknown" else cfg.vrrpInterface;
        virtualRouterId = lib.mkDefault 51;
        priority =
          250 - 10 * lib.lists.findFirstIndex (name: name == stack.host) 0 (lib.attrNames gateways);
        noPreempt = true;
        unicastSrcIp = fleet.self.address;
        unicastPeers = others;
        virtualIps = map asKeepalived advertised.right;
        trackScripts = [ "authstack" ];
        trackInterfaces = lib.unique (map (entry: entry.interface) cfg.virtualAddresses);
        # VRRP of version 3 has no authentication (RFC 5798, 9): its packets are the firewall's business.
        extraConfig = ''
          version 3
          advert_int 0.5
          check_unicast_src
        ''
        # Only addresses of one version fit into a packet.
        + lib.optionalString (advertised.wrong != [ ]) ''
          virtual_ipaddress_excluded {
          ${lib.concatMapStringsSep "\n" (
            entry: "  ${entry.address} dev ${entry.interface}"
          ) advertised.wrong}
          }
        '';
      };
    };

    networking.firewall = lib.mkIf stack.openFirewall (
      lib.mkMerge [
        (fleet.reachableByProtocol "vrrp" others)
        # For the question whether another can serve.
        (fleet.reachableFrom others stack.ports.gatewayMetrics)
      ]
    );
  };
}
