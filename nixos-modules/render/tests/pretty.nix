# JSON in many lines, so that a difference shows where it is.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    isAttrs
    isList
    map
    toJSON
    ;
  print =
    indent: value:
    let
      deeper = "${indent}  ";
      block =
        open: close: items:
        if items == [ ] then
          open + close
        else
          "${open}\n" + concatStringsSep ",\n" (map (item: deeper + item) items) + "\n${indent}${close}";
    in
    if isAttrs value then
      block "{" "}" (map (name: "${toJSON name}: ${print deeper value.${name}}") (attrNames value))
    else if isList value then
      block "[" "]" (map (print deeper) value)
    else
      toJSON value;
in
value: print "" value + "\n"
