# Zipkin's server. Settings in, the options of its Java VM and its own arguments out.
{
  ip,
  port,
  # How many spans are kept; the oldest go first.
  maxSpans,
}:
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
    "--zipkin.storage.mem.max-spans=${toString maxSpans}"
    # Whoever reached it could otherwise read its memory and its environment, and set its log levels (/actuator). Its metrics and its
    # health are not among these endpoints.
    "--management.endpoints.web.exposure.exclude=*"
    "--management.endpoints.web.discovery.enabled=false"
  ];
}
