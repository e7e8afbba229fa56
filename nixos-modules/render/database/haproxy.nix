# The way to the primary of a database cluster, and to its replicas: HAProxy passes connections on to members whose Patroni says that they
# are that.
#
# Settings in, the text of haproxy.cfg out. PostgreSQL's own TLS passes through.
{
  # "ADDRESS:PORT" on which the cores find it.
  listen,
  # The same for the replicas, in turn; null where nobody reads from them.
  listenReplicas ? null,
  # [ { name; postgresql = "ADDRESS:PORT"; api = "ADDRESS:PORT"; } ], as render/database/patroni.nix has them.
  members,
  # PEM file with the certificate authorities of the members' certificates; null where Patroni's API is plain HTTP.
  ca,
  # Connections at once: those of a core's pool, or of all that use it.
  connections,
}:
let
  inherit ((import ../defaults.nix).databaseCluster) answerSeconds checkSeconds;
  portOf = endpoint: builtins.head (builtins.match ".*:([0-9]+)" endpoint);
  addressOf = endpoint: builtins.head (builtins.match "(.*):[0-9]+" endpoint);
  tls = if ca == null then "" else " check-ssl verify required ca-file ${ca}";
  server =
    member:
    "    server ${member.name} ${member.postgresql} check addr ${addressOf member.api} port ${portOf member.api}${tls}";
  section = name: listen: path: ''
    listen ${name}
        bind ${listen}
        maxconn ${toString connections}
        option httpchk
        http-check send meth OPTIONS uri ${path}
        http-check expect status 200
        # Whoever is connected to a primary that is none any more would wait for it.
        default-server inter ${toString checkSeconds}s fall 2 rise 1 on-marked-down shutdown-sessions
    ${builtins.concatStringsSep "\n" (map server members)}
  '';
in
''
  global
      log stdout format raw local0
      maxconn ${toString (connections * 2)}

  defaults
      mode tcp
      log global
      option tcplog
      option dontlog-normal
      timeout connect 2s
      # The pools keep idle connections for ten minutes.
      timeout client 1h
      timeout server 1h
      timeout check ${toString answerSeconds}s
      retries 2

''
+ section "primary" listen "/primary"
+ (if listenReplicas == null then "" else "\n" + section "replicas" listenReplicas "/replica")
