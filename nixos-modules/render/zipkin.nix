# Zipkin's server. Settings in, the options of its Java VM and its own arguments out.
{
  ip,
  port,
  # How many spans are kept in memory; the oldest go first.
  maxSpans,
  # Where spans are kept: { type; hosts; } as in defaults.nix. Elasticsearch's hosts are URLs, Cassandra's HOST or HOST:PORT.
  storage ? (import ./defaults.nix).monitoring.storage,
}:
let
  hosts = builtins.concatStringsSep "," storage.hosts;
  # Zipkin's own names of them.
  kept = {
    memory = [ "--zipkin.storage.mem.max-spans=${toString maxSpans}" ];
    elasticsearch = [
      "--zipkin.storage.type=elasticsearch"
      "--zipkin.storage.elasticsearch.hosts=${hosts}"
    ];
    cassandra = [
      "--zipkin.storage.type=cassandra3"
      "--zipkin.storage.cassandra3.contact-points=${hosts}"
    ];
  };
in
{
  # The JVM's own scratch file is of no use to anybody here.
  java = [
    "-Xms32m"
    "-Xmx512m"
    "-XX:-UsePerfData"
  ];
  arguments = [
    # It listens on every address unless it is told one.
    "--armeria.ports[0].ip=${ip}"
    "--armeria.ports[0].port=${toString port}"
    "--armeria.ports[0].protocols[0]=http"
  ]
  ++ kept.${storage.type}
  ++ [
    # Whoever reached it could otherwise read its memory and its environment, and set its log levels (/actuator). Its metrics and its
    # health are not among these endpoints.
    "--management.endpoints.web.exposure.exclude=*"
    "--management.endpoints.web.discovery.enabled=false"
  ];
}
