//! The command line and the configuration: what is wrong is said, with file and key.

use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use tempfile::TempDir;

use auth_core::config::Config;
use auth_core::tokens::LEEWAY_SECONDS;

use crate::node::key_pair;
use crate::tls;

/// Runs `check-config` on a file in a folder with a key, and returns what it prints.
fn check_with(file: &str, env: &[(&str, &str)], args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    key_pair(&dir.path().join("keys"), "key");
    tls::put(dir.path());
    std::fs::write(dir.path().join("auth.toml"), file).unwrap();
    run(
        &dir,
        env,
        &[&["check-config", "--config", "auth.toml"], args].concat(),
    )
}

fn run(dir: &TempDir, env: &[(&str, &str)], args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_auth-core"))
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text)
        .unwrap()
        .replace(&folder(dir.path()), "DIR");
    format!("exit {}\n{text}", output.status.code().unwrap())
}

fn folder(dir: &Path) -> String {
    dir.canonicalize().unwrap().display().to_string()
}

fn check(file: &str) -> String {
    check_with(file, &[], &[])
}

const GOOD: &str = "[tokens]\nkey_directory = \"keys\"\n";

#[test]
fn a_good_configuration_is_ok() {
    assert_eq!(check(GOOD), "exit 0\nok\n");
}

#[test]
fn every_key_can_be_given() {
    let file = r#"
        node = "auth1"
        listen = "127.0.0.1:0"
        drain_seconds = 1
        dev_mode = true
        [tls]
        certificate_file = "certificate.pem"
        key_file = "certificate-key.pem"
        [database]
        url = "postgres://auth@127.0.0.1:5432/auth"
        password_file = "keys/key.pub"
        max_connections = 3
        [tokens]
        issuer = "a"
        audience = "b"
        access_token_seconds = 60
        session_seconds = 3600
        key_directory = "keys"
        generate_first_key = true
        [password]
        min_length = 8
        blocklist_file = "auth.toml"
        scrypt = { log_n = 14, r = 8, p = 5 }
        concurrent_hashes = 2
        queue_seconds = 3
        [log]
        format = "human"
        level = "debug"
        [tracing]
        zipkin_url = "http://127.0.0.1:9411/api/v2/spans"
    "#;
    assert_eq!(check(file), "exit 0\nok\n");
}

#[test]
fn variables_override_the_file_and_flags_override_variables() {
    let env = [
        ("AUTH_CORE_PASSWORD__SCRYPT__LOG_N", "99"),
        ("AUTH_CORE_DRAIN_SECONDS", "1"),
    ];
    assert_snapshot!(check_with(GOOD, &env, &[]));
    let file = format!("{GOOD}[password]\nscrypt = {{ log_n = 98 }}\n");
    assert_snapshot!(check_with(&file, &[("AUTH_CORE_PASSWORD__SCRYPT__LOG_N", "10")], &[]), @"
    exit 0
    ok
    ");
    assert_eq!(
        check_with(GOOD, &env, &["--set", "password.scrypt.log_n=10"]),
        "exit 0\nok\n"
    );
}

#[test]
fn what_is_wrong_is_said() {
    let set = |set: &str| check_with(GOOD, &[], &["--set", set]);
    let tls = |certificate: &str, key: &str| {
        let file = format!("{GOOD}[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n");
        check(&file)
    };
    let all = [
        ("no key", check("")),
        ("not TOML", check("node = ")),
        ("unknown key", check("nod = \"a\"")),
        (
            "unknown nested key",
            check(&format!("{GOOD}[password]\nscript = {{}}\n")),
        ),
        (
            "unknown variable",
            check_with(GOOD, &[("AUTH_CORE_NODDE", "a")], &[]),
        ),
        ("unknown flag key", set("database.urll=x")),
        ("flag without value", set("node")),
        (
            "wrong type",
            check(&format!("drain_seconds = \"soon\"\n{GOOD}")),
        ),
        (
            "wrong address",
            check(&format!("listen = \"localhost\"\n{GOOD}")),
        ),
        (
            "certificate without its key",
            set("tls.certificate_file=certificate.pem"),
        ),
        (
            "key without its certificate",
            set("tls.key_file=certificate-key.pem"),
        ),
        (
            "no certificate in the file",
            tls("certificate-key.pem", "certificate-key.pem"),
        ),
        (
            "no key in the file",
            tls("certificate.pem", "certificate.pem"),
        ),
        ("missing certificate", tls("nowhere", "certificate-key.pem")),
        (
            "key of another certificate",
            tls("certificate.pem", "keys/key.pem"),
        ),
        ("wrong format", set("log.format=xml")),
        ("wrong level", set("log.level=loud")),
        ("missing keys", set("tokens.key_directory=nowhere")),
        (
            "missing keys to be made",
            check("[tokens]\ngenerate_first_key = true\n"),
        ),
        ("wrong database", set("database.url=mysql://a:secret@b/c")),
        ("missing folder", set("database.url=sqlite:nowhere/auth.db")),
        (
            "password for a file",
            set("database.password_file=keys/key.pub"),
        ),
        (
            "token for a week",
            set("tokens.access_token_seconds=604800"),
        ),
        ("no connections", set("database.max_connections=0")),
        (
            "replica of a file",
            set("database.replica_url=postgres://auth@127.0.0.1/auth"),
        ),
        ("scrypt too cheap", set("password.scrypt.log_n=0")),
        ("scrypt too much", set("password.scrypt.log_n=24")),
        ("no hashes", set("password.concurrent_hashes=0")),
        ("missing list", set("password.blocklist_file=nowhere")),
        (
            "list of short passwords",
            check(&format!(
                "{GOOD}[password]\nmin_length = 99\nblocklist_file = \"auth.toml\"\n"
            )),
        ),
        (
            "zipkin by https",
            set("tracing.zipkin_url=https://zipkin/api/v2/spans"),
        ),
    ];
    let text: String = all
        .map(|(what, said)| format!("== {what}\n{said}"))
        .concat();
    assert_snapshot!(text);
}

#[test]
fn a_missing_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_snapshot!(run(
        &dir,
        &[],
        &["check-config", "--config", "nothing.toml"]
    ));
}

#[test]
fn help_says_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    assert_snapshot!(run(&dir, &[], &["--help"]));
    assert_snapshot!(run(&dir, &[], &["serve", "--help"]));
}

#[test]
fn an_address_that_is_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    key_pair(&dir.path().join("keys"), "key");
    let said = run(
        &dir,
        &[],
        &[
            "serve",
            "--listen",
            &address,
            "--set",
            "tokens.key_directory=keys",
        ],
    );
    assert_snapshot!(said.replace(&address, "ADDRESS"));
}

/// Gateways and nodes decide some things together: both have the same defaults.
#[test]
fn what_the_nix_side_takes_for_the_cores_defaults_are_its_defaults() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../nixos-modules/render/defaults.nix"
    );
    let file = std::fs::read_to_string(file).unwrap();
    let of_nix = |name: &str| {
        let start = format!("{name} = ");
        let mut values = file
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&start)?.strip_suffix(';'));
        let value = values.next().map(str::to_owned);
        assert_eq!(values.next(), None, "{name} is there once");
        value.unwrap_or_else(|| panic!("{name} is not there"))
    };
    let defaults = Config::default();
    for (name, default) in [
        ("core.maxConnections", defaults.max_connections.to_string()),
        ("core.drainSeconds", defaults.drain_seconds.to_string()),
        ("audience", format!("\"{}\"", defaults.tokens.audience)),
        ("leewaySeconds", LEEWAY_SECONDS.to_string()),
    ] {
        assert_eq!(of_nix(name), default, "{name}");
    }
}
