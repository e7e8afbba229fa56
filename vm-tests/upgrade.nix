# The fleet goes from the version that runs to this one, host by host, and back, under load: no request fails, and what accounts and tokens there are
# is good on both.
{ lib, pkgs }:
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "client"
  ];
  # Whether a container can be switched to another system nobody has tried.
  onlyVirtual = true;
  upgradeFrom = import ./other-commit.nix { inherit pkgs; };

  testScript =
    {
      nodes,
      ports,
      internalTls,
      ...
    }:
    ''
      start_all()
      trust(client, *gateways)
      readyz = ${
        builtins.toJSON (
          lib.mapAttrs (
            _: node:
            "curl --fail --silent "
            + (if internalTls.ca == null then "http" else "--cacert ${internalTls.ca} https")
            + "://${node.address}:${toString ports.core}/readyz"
          ) nodes
        )
      }


      def program(core):
          """The very file that runs."""
          return core.succeed("readlink /proc/$(systemctl show --property=MainPID --value auth-core)/exe").strip()


      def programs():
          return {core.name: program(core) for core in cores}


      def new_token(email):
          answer = log_in(client, email)
          t.assertNotIn("errors", answer)
          return answer["data"]["logIn"]["accessToken"]


      def is_good(token):
          """At each core: they answer in turn."""
          answers = [graphql(client, "{ me { email } }", token=token)[2] for _ in range(2 * len(cores))]
          return all("errors" not in answer for answer in answers)


      def switch(version):
          """As docs/how-to/upgrade.md says: one host after another, of the gateways the one that has the address last. The database is the test's."""
          address = client.succeed(f"getent ahostsv4 {DOMAIN} | sed -n 's/ *STREAM.*//p'").strip()
          hosts = [machine for machine in machines if machine.name in SYSTEMS[version] and machine is not database]
          for host in sorted(hosts, key=lambda host: f" {address}/" in host.succeed("ip -4 -o address")):
              # Its output, which names the units that failed.
              print(host.succeed(f"{SYSTEMS[version][host.name]}/bin/switch-to-configuration test 2>&1"))
              if host in cores:
                  host.wait_until_succeeds(readyz[host.name], timeout=60)


      before = programs()
      t.assertNotIn("errors", sign_up(client, "ada@example.org"))
      token_of_before = new_token("ada@example.org")
      begin_load(client, unit="upgrade")

      with subtest("host by host is upgraded, and every core runs another program then"):
          switch("after")
          for core in cores:
              t.assertNotEqual(program(core), before[core.name], "the same as before: is `upgradeFrom` what runs now?")
              print(core.name, core.succeed(f"{before[core.name]} --version; {program(core)} --version"))

      with subtest("an account and a token of the version before are good on the new one"):
          new_token("ada@example.org")
          t.assertTrue(is_good(token_of_before))

      with subtest("no request failed meanwhile"):
          report = end_load(client, unit="upgrade")
          t.assertEqual(report["failed"], 0, report["failures"])

      t.assertNotIn("errors", sign_up(client, "bob@example.org"))
      token_of_after = new_token("bob@example.org")
      begin_load(client, unit="rollback")

      with subtest("host by host goes back"):
          switch("before")
          t.assertEqual(programs(), before)

      with subtest("an account and a token of the new version are good on the one before"):
          new_token("bob@example.org")
          t.assertTrue(is_good(token_of_after) and is_good(token_of_before))

      with subtest("no request failed on the way back"):
          report = end_load(client, unit="rollback")
          t.assertEqual(report["failed"], 0, report["failures"])
    '';
}
