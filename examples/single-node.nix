# One machine with everything on board: accounts in a file of its own, a certificate from Let's Encrypt, and all that watches it.
{
  networking.hostName = "auth1";

  security.acme = {
    acceptTerms = true;
    defaults.email = "operator@example.org";
  };

  services.authstack = {
    domain = "auth.example.org";
    nodes.auth1 = { };
    gateway.openFirewall = true;
  };
}
