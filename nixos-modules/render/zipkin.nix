# The arguments of Zipkin's server.
{ ip, port }:
[
  # It listens on every address unless it is told one.
  "--armeria.ports[0].ip=${ip}"
  "--armeria.ports[0].port=${toString port}"
  "--armeria.ports[0].protocols[0]=http"
  # Whoever reached it could otherwise read its memory and its environment, and set its log levels (/actuator). Its metrics and its
  # health are not among these endpoints.
  "--management.endpoints.web.exposure.exclude=*"
  "--management.endpoints.web.discovery.enabled=false"
]
