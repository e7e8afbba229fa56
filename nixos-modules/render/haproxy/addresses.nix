# Which client addresses a route is for.
route:
let
  inherit (builtins) concatStringsSep;
  errors = import ./errors.nix;
  refused = errors.refuse 403 {
    code = "ADDRESS_NOT_ALLOWED";
    message = "This service is not for your address.";
  };
in
(
  if route.allow == [ ] then
    [ ]
  else
    [ "${refused} unless { src ${concatStringsSep " " route.allow} }" ]
)
++ (
  if route.deny == [ ] then [ ] else [ "${refused} if { src ${concatStringsSep " " route.deny} }" ]
)
