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
  # The /64 network where addresses are free.
  client = "src,ipmask(32,64)";
in
if gateways == null then
  {
    inherit client;
    table = "clients";
    global = [ ];
    sum = _: own: _: {
      rules = [ ];
      sample = own;
    };
    tables = definition: [
      ""
      "backend clients"
      "  stick-table ${definition}"
    ];
  }
else
  {
    inherit client;
    # What is tracked, and counted up.
    table = "gateways/${own.name}";
    global = [ "localpeer ${own.name}" ];

    # What all gateways have counted: the rules that read the others' tables, and then the sum. `own` is a sample of the own table, `read` the
    # converter that takes the same from another; it gives 0 for a client that is not there.
    sum =
      name: own: read:
      let
        elsewhere = "txn.${name}_elsewhere";
      in
      {
        rules = [ "http-request set-var(${elsewhere}) int(0)" ] ++ map (
          other: "http-request set-var(${elsewhere}) ${client},${read}(gateways/${other.name}),add(${elsewhere})"
        ) others;
        sample = "${own},add(${elsewhere})";
      };

    tables =
      definition:
      [
        ""
        "peers gateways"
        "  bind ${own.address}"
        "  server ${own.name}"
      ]
      ++ map (other: "  server ${other.name} ${other.address}") others
      ++ map (gateway: "  table ${gateway.name} ${definition}") gateways.all;
  }
