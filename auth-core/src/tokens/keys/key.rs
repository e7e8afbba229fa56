//! One key: read from a PEM file, or made.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use pem::Pem;
use zeroize::Zeroizing;

/// The PEM label of a shared secret for HS256: 32 random bytes or more (RFC 7518, 3.2).
pub const HMAC_SECRET: &str = "HMAC SECRET";

const MIN_SECRET: usize = 32;

/// Fewest bytes of an RSA modulus: 2048 bits (RFC 7518, 3.3).
const MIN_MODULUS: usize = 256;

/// What stands before the two coordinates in the SPKI of a key on P-256 (RFC 5480): an uncompressed point.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// No key of ours is longer, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// What a new key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// ECDSA with P-256: what gateways can check
    Es256,
    /// RSA with 3072 bits, for clients that know nothing newer
    Rs256,
    /// Ed25519; HAProxy cannot check it
    Eddsa,
    /// A shared secret: whoever checks tokens can make them; never published
    Hs256,
}

/// A key that verifies, and signs if it is private.
pub struct Key {
    /// Its name in tokens: the name of its file.
    pub kid: String,
    /// The one algorithm that it is for.
    pub algorithm: Algorithm,
    /// What signs; none of a public key.
    pub signing: Option<EncodingKey>,
    /// What verifies.
    pub verifying: DecodingKey,
    /// What is published; none of a shared secret.
    pub public: Option<Jwk>,
}

impl Key {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let (file, text) = contents(path)?;
        let kid = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let key = Self::parse(kid, &text)?;
        let mode = file
            .metadata()
            .map_err(|error| error.to_string())?
            .permissions()
            .mode();
        if key.signing.is_some() && mode & 0o007 != 0 {
            return Err(
                "everybody on this machine can read this private key: chmod 600".to_owned(),
            );
        }
        Ok(key)
    }

    /// The public half of the file that this key was read from: SPKI in PEM, which is what HAProxy's `jwt_verify` takes.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn public_pem(&self, path: &Path) -> Result<String, String> {
        let (_, text) = contents(path)?;
        let found = pem::parse(&text).map_err(|error| error.to_string())?;
        let spki = match found.tag() {
            "PUBLIC KEY" => Some(found.into_contents()),
            _ => self.spki(found.contents()),
        };
        let spki = spki.ok_or("its public half cannot be told")?;
        let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&Pem::new("PUBLIC KEY", spki), unix))
    }

    /// What [`Key::public_pem`] prints, of a key as it was published: only for algorithms that HAProxy can check.
    pub(crate) fn published_pem(jwk: &Jwk) -> Option<(Algorithm, String)> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let spki = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) => {
                [P256_SPKI, &bytes(&key.x)?, &bytes(&key.y)?].concat()
            }
            AlgorithmParameters::RSA(key) => {
                let (n, e) = (bytes(&key.n)?, bytes(&key.e)?);
                let key: PublicKeyX509Der<'_> = rsa::PublicKeyComponents { n, e }.as_der().ok()?;
                key.as_ref().to_vec()
            }
            _ => return None,
        };
        let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let pem = pem::encode_config(&Pem::new("PUBLIC KEY", spki), unix);
        // As a key of our own ring: on its curve, long enough, with a name that is one.
        let key = Self::parse(jwk.common.key_id.as_deref()?, pem.as_bytes()).ok()?;
        Some((key.algorithm, pem))
    }

    fn spki(&self, pkcs8: &[u8]) -> Option<Vec<u8>> {
        let spki = match self.algorithm {
            Algorithm::ES256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                .ok()?
                .public_key()
                .as_der(),
            Algorithm::RS256 => rsa::KeyPair::from_pkcs8(pkcs8).ok()?.public_key().as_der(),
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
                .ok()?
                .public_key()
                .as_der(),
            _ => return None,
        };
        let spki: PublicKeyX509Der<'_> = spki.ok()?;
        Some(spki.as_ref().to_vec())
    }

    /// Reads a PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(kid: &str, text: &[u8]) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !(1..=64).contains(&kid.len()) || !kid.chars().all(allowed) {
            return Err("the name of a key has 1 to 64 letters, digits, - and _".to_owned());
        }
        let found = pem::parse(text).map_err(|_| "is not a PEM file".to_owned())?;
        let key = match found.tag() {
            "PRIVATE KEY" => private(kid, text),
            "PUBLIC KEY" => public(kid, text),
            HMAC_SECRET if found.contents().len() >= MIN_SECRET => Some(Self {
                kid: kid.to_owned(),
                algorithm: Algorithm::HS256,
                signing: Some(EncodingKey::from_secret(found.contents())),
                verifying: DecodingKey::from_secret(found.contents()),
                public: None,
            }),
            HMAC_SECRET => return Err(format!("a secret must have {MIN_SECRET} bytes or more")),
            _ => None,
        };
        key.ok_or_else(|| {
            "is not a key in PKCS#8 PEM (BEGIN PRIVATE KEY) or SPKI PEM (BEGIN PUBLIC KEY) \
             of EC P-256, Ed25519 or RSA with 2048 bits or more"
                .to_owned()
        })
    }
}

fn contents(path: &Path) -> Result<(File, Zeroizing<Vec<u8>>), String> {
    let read = || {
        let mut file = File::open(path)?;
        let mut text = Zeroizing::new(Vec::new());
        file.by_ref().take(MAX_FILE).read_to_end(&mut text)?;
        Ok((file, text))
    };
    read().map_err(|error: std::io::Error| error.to_string())
}

fn private(kid: &str, text: &[u8]) -> Option<Key> {
    let (algorithm, signing) = [
        (Algorithm::ES256, EncodingKey::from_ec_pem(text)),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(text)),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(text)),
    ]
    .into_iter()
    .find_map(|(algorithm, key)| Some((algorithm, key.ok()?)))?;
    let key = publishable(
        kid,
        algorithm,
        Jwk::from_encoding_key(&signing, algorithm).ok()?,
    )?;
    // A key that does not verify what it signs would lock everybody out.
    let signature = crypto::sign(b"test", &signing, algorithm).ok()?;
    let verified = crypto::verify(&signature, b"test", &key.verifying, algorithm).ok()?;
    verified.then_some(Key {
        signing: Some(signing),
        ..key
    })
}

fn public(kid: &str, text: &[u8]) -> Option<Key> {
    let (algorithm, verifying) = [
        (Algorithm::ES256, DecodingKey::from_ec_pem(text)),
        (Algorithm::RS256, DecodingKey::from_rsa_pem(text)),
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(text)),
    ]
    .into_iter()
    .find_map(|(algorithm, key)| Some((algorithm, key.ok()?)))?;
    publishable(
        kid,
        algorithm,
        Jwk::from_decoding_key(&verifying, Some(algorithm)).ok()?,
    )
}

fn publishable(kid: &str, algorithm: Algorithm, mut jwk: Jwk) -> Option<Key> {
    let strong = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(curve) => curve.curve == EllipticCurve::P256,
        // Base64url: four characters for three bytes.
        AlgorithmParameters::RSA(rsa) => rsa.n.len() * 3 / 4 >= MIN_MODULUS,
        AlgorithmParameters::OctetKeyPair(pair) => pair.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    jwk.common.key_id = Some(kid.to_owned());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    strong.then_some(Key {
        kid: kid.to_owned(),
        algorithm,
        signing: None,
        verifying: DecodingKey::from_jwk(&jwk).ok()?,
        public: Some(jwk),
    })
}

impl Kind {
    /// A new key, in PEM.
    ///
    /// # Errors
    /// No randomness.
    pub(super) fn generate(self) -> Result<Zeroizing<String>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        let (label, bytes) = match self {
            Self::Es256 => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
                ("PRIVATE KEY", made.as_ref().to_vec())
            }
            Self::Rs256 => {
                let made = rsa::KeyPair::generate(rsa::KeySize::Rsa3072)?;
                ("PRIVATE KEY", made.as_der()?.as_ref().to_vec())
            }
            // Version 1 has no public key in it, and is what others can read.
            Self::Eddsa => {
                let made = Ed25519KeyPair::generate_pkcs8v1(&random)?;
                ("PRIVATE KEY", made.as_ref().to_vec())
            }
            Self::Hs256 => {
                let mut secret = vec![0; MIN_SECRET];
                rand::fill(&mut secret)?;
                (HMAC_SECRET, secret)
            }
        };
        Ok(Zeroizing::new(pem::encode(&Pem::new(label, bytes))))
    }
}
