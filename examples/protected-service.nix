# A service of one's own behind the gateway: docs/how-to/protect-my-service.md.
{
  security.acme.acceptTerms = true;
  security.acme.defaults.email = "operator@example.org";
  services.authstack = {
    domain = "auth.example.org";
    nodes.auth1 = { };
    gateway.openFirewall = true;
    gateway.routes."/orders" = {
      servers."127.0.0.1:9000" = { };
      requireToken = true;
      cors.origins = [ "https://app.example.org" ];
      health.by = "http";
      health.path = "/healthz";
    };
  };
}
