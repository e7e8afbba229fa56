# [ HOST PORT ] of `HOST:PORT`, with an IPv6 address in brackets; null for anything else.
builtins.match "([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+]):([0-9]{1,5})"
