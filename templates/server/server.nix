# What all servers have in common.
{
  security.acme.acceptTerms = true;
  security.acme.defaults.email = "operator@example.org";

  services.authstack = {
    domain = "auth.example.org";
    openFirewall = true;
    gateway.openFirewall = true;

    auth-core = {
      # Make it once, with `auth-core keys generate --set tokens.key_directory=keys`, and bring it to every core.
      keys.directory = "/var/lib/secrets/keys";
      database = {
        type = "postgresql";
        url = "postgres://auth-core@10.0.0.5:5432/auth-core";
        passwordFile = "/var/lib/secrets/database-password";
      };
    };
  };
}
