//! The stack's secrets: a test CA, the certificates of gateways and nodes, the key that signs tokens, the passwords of the database, of its members among each other, and of the canary.
//!
//! Made on the first run and kept, except for the certificates, which are made on each start as they name addresses.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::OffsetDateTime;

/// How long certificates are valid, as those of Let's Encrypt are.
const CERTIFICATE_LIFETIME: time::Duration = time::Duration::days(89);

/// Makes what is missing in `folder` and returns the path of the CA certificate, which clients must trust.
///
/// # Errors
/// When a file can't be written or an existing one can't be read.
pub fn prepare(folder: &Path, gateways: &[String], nodes: &[String]) -> Result<PathBuf> {
    let ring = folder.join("ring");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&ring)
        .with_context(|| format!("cannot make {}", ring.display()))?;

    let ca_key = KeyPair::from_pem(&read_or_create(&folder.join("ca-key.pem"), new_key)?)?;
    let ca = folder.join("ca.pem");
    read_or_create(&ca, || Ok(ca_params().self_signed(&ca_key)?.pem()))?;
    read_or_create(&ring.join("signing-key.pem"), new_key)?;
    read_or_create(&folder.join("postgres-password"), random_password)?;
    read_or_create(&folder.join("members-password"), random_password)?;
    read_or_create(&folder.join("canary-password"), random_password)?;

    let issuer = Issuer::new(ca_params(), ca_key);
    let gateways = [gateways, &["localhost".to_owned()]].concat();
    let (certificate, key) = self::certificate("authstack lab gateway", gateways, &issuer)?;
    // HAProxy takes both from one file.
    write(&folder.join("gateway.pem"), &(certificate + &key))?;
    let (certificate, key) = self::certificate("authstack lab node", nodes.to_vec(), &issuer)?;
    write(&folder.join("nodes.pem"), &certificate)?;
    write(&folder.join("nodes-key.pem"), &key)?;
    Ok(ca)
}

/// A new certificate for names and addresses, and its key, in PEM.
fn certificate(
    name: &str,
    subjects: Vec<String>,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(String, String)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(subjects)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let now = OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::DAY;
    params.not_after = now + CERTIFICATE_LIFETIME;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "authstack lab CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn new_key() -> Result<String> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem())
}

fn random_password() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The file's text; `make` provides it when there is no such file yet.
fn read_or_create(file: &Path, make: impl FnOnce() -> Result<String>) -> Result<String> {
    if !file.exists() {
        write(file, &make()?)?;
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Written whole or not at all, readable by the owner alone.
fn write(file: &Path, text: &str) -> Result<()> {
    let temporary = file.with_extension("new");
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, file))
        .with_context(|| format!("cannot write {}", file.display()))
}
