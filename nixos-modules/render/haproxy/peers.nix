# Where a client's requests are counted: in one table, or, where several gateways count together, in one of each gateway's.
#
# A gateway writes its own table alone and adds what it reads in the others': of a table that two write, peers keep what was written last, not the
# sum. `conn_cur` stays each gateway's own: HAProxy never learns it from a peer.
{
  # null for one gateway, or { self = NAME; all = [ { name; address = "ADDRESS:PORT"; } ]; }: who listens where for the others' counts.
  gateways,
}:
let
  isSelf = gateway: gateway.name == gateways.self;
  others = builtins.filter (gateway: !isSelf gateway) gateways.all;
  own = builtins.head (builtins.filter isSelf gateways.all);
in
if gateways == null then
  {
    global = [ ];
    of =
      { name, ... }:
      {
        table = name;
        sum = _: own: _: {
          rules = [ ];
          sample = own;
        };
      };
    sections = builtins.concatMap (
      { name, definition, ... }:
      [
        ""
        "backend ${name}"
        "  stick-table ${definition}"
      ]
    );
  }
else
  let
    tableOf = gateway: name: "gateways/${name}-${gateway.name}";
  in
  {
    global = [ "localpeer ${own.name}" ];

    # What is counted under this name, by this key (a sample).
    of =
      { name, key, ... }:
      {
        # What is tracked, and counted up.
        table = tableOf own name;
        # What all gateways have counted: the rules that read the others' tables, and then the sum. `own` is a sample of the own table,
        # `read` the converter that takes the same from another; it gives 0 for a client that is not there.
        sum =
          variable: own: read:
          let
            elsewhere = "txn.${variable}_elsewhere";
          in
          {
            rules = [
              "http-request set-var(${elsewhere}) int(0)"
            ]
            ++ map (
              other: "http-request set-var(${elsewhere}) ${key},${read}(${tableOf other name}),add(${elsewhere})"
            ) others;
            sample = "${own},add(${elsewhere})";
          };
      };

    # The tables of all that is counted: [ { name; definition; } ].
    sections =
      tables:
      [
        ""
        "peers gateways"
        "  bind ${own.address}"
        "  server ${own.name}"
      ]
      ++ map (other: "  server ${other.name} ${other.address}") others
      ++ builtins.concatMap (
        { name, definition, ... }:
        map (gateway: "  table ${name}-${gateway.name} ${definition}") gateways.all
      ) tables;
  }
