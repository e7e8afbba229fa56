# The reference of all options, as Markdown.
#
# Not by `nixosOptionsDoc`: its page needs `nixos-render-docs`, which is in nixpkgs alone, so where only the module system can be
# had no check could compare; and it escapes every dot of every name, while this page is read as text, too.
{ pkgs }:
let
  inherit (pkgs) lib;
  options = lib.optionAttrSetToDocList (pkgs.nixos [ ./. ]).options.services.authstack;

  text = value: if builtins.isString value then value else value.text or "";
  # NixOS' Markdown knows roles that no other does.
  plain = lib.flip lib.pipe [
    (lib.replaceStrings [ "{option}" "{file}" ] [ "" "" ])
    lib.trim
  ];
  value =
    given:
    if given._type or "" == "literalMD" then
      plain given.text
    else
      let
        code = text given;
      in
      if lib.hasInfix "\n" code then
        "\n\n  ```nix\n  ${lib.replaceStrings [ "\n" ] [ "\n  " ] (lib.trim code)}\n  ```"
      else
        "`${code}`";

  entry = option: ''
    ## `${option.name}`

    ${plain (text option.description)}

    - Type: ${option.type}
    ${lib.optionalString (option ? default) "- Default: ${value option.default}\n"}${
      lib.optionalString (option ? example) "- Example: ${value option.example}\n"
    }'';
in
pkgs.writeText "options.md" ''
  # Options of `services.authstack`

  Made from the modules: `nix build .#options-doc`. A check compares.

  ${lib.concatMapStringsSep "\n" entry (
    lib.filter (option: option.visible && !option.internal) options
  )}''
