//! Access tokens: JWT (RFC 7519) signed with ES256, of type `at+jwt` (RFC 9068), checked by RFC 8725.

use std::collections::HashMap;

use aws_lc_rs::error::Unspecified;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::{ConfigError, Tokens};

/// Nothing can take an access token back before it expires, so a day is the most, in seconds.
const MAX_LIFETIME: u64 = 24 * 60 * 60;

const TYPE: &str = "at+jwt";

/// A token is good for this many seconds past its `exp`, for clocks that differ.
pub const LEEWAY_SECONDS: u64 = 30;

/// Longer tokens are refused unread, in bytes. Ours have about 500, and 254 of e-mail at most.
const MAX_BYTES: usize = 4096;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom: one string, because HAProxy reads no array.
    pub aud: String,
    /// The account's id.
    pub sub: String,
    /// The account's e-mail address.
    pub email: String,
    /// The account's role.
    pub role: String,
    /// Issued at, in seconds since 1970.
    pub iat: u64,
    /// Expires at, in seconds since 1970.
    pub exp: u64,
    /// The token's own id.
    pub jti: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It was good and is past its time.
    Expired,
    /// Anything else. The reader of the refusal may be an attacker, so it says no more.
    Invalid,
}

/// The key that signs and the keys that verify.
pub struct KeyRing {
    signing: EncodingKey,
    header: Header,
    verifying: HashMap<String, DecodingKey>,
    validation: Validation,
    jwks: String,
    issuer: String,
    audience: String,
    lifetime: u64,
}

impl KeyRing {
    /// Reads the keys.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it must be, by name.
    pub fn load(tokens: &Tokens) -> Result<Self, ConfigError> {
        let path = &tokens.signing_key_file;
        if path.as_os_str().is_empty() {
            return Err(ConfigError(
                "tokens.signing_key_file is not set; make a key with \
                 openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"
                    .to_owned(),
            ));
        }
        if !(1..=MAX_LIFETIME).contains(&tokens.access_token_seconds) {
            let (given, most) = (tokens.access_token_seconds, MAX_LIFETIME);
            return Err(ConfigError(format!(
                "tokens.access_token_seconds = {given} is out of bounds: 1 to {most}"
            )));
        }
        let key = "tokens.signing_key_file";
        let wrong = || {
            ConfigError::file(
                key,
                path,
                "is not an EC P-256 private key in PKCS#8 PEM (BEGIN PRIVATE KEY)",
            )
        };
        let signing =
            EncodingKey::from_ec_pem(&ConfigError::read(key, path)?).map_err(|_| wrong())?;
        let own = Jwk::from_encoding_key(&signing, Algorithm::ES256).map_err(|_| wrong())?;
        let mut keys = vec![published(own).map_err(|_| wrong())?];

        for path in &tokens.verification_key_files {
            let key = "tokens.verification_key_files";
            let wrong = || {
                ConfigError::file(
                    key,
                    path,
                    "is not an EC P-256 public key in SPKI PEM (BEGIN PUBLIC KEY)",
                )
            };
            let decoding =
                DecodingKey::from_ec_pem(&ConfigError::read(key, path)?).map_err(|_| wrong())?;
            let jwk =
                Jwk::from_decoding_key(&decoding, Some(Algorithm::ES256)).map_err(|_| wrong())?;
            let jwk = published(jwk).map_err(|_| wrong())?;
            if !keys.contains(&jwk) {
                keys.push(jwk);
            }
        }

        let mut verifying = HashMap::new();
        for jwk in &keys {
            let decoding = DecodingKey::from_jwk(jwk).map_err(|_| wrong())?;
            verifying.insert(jwk.common.key_id.clone().unwrap_or_default(), decoding);
        }

        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYPE.to_owned());
        header.kid = keys[0].common.key_id.clone();

        let mut validation = Validation::new(Algorithm::ES256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&tokens.issuer]);
        validation.set_audience(&[&tokens.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);

        Ok(Self {
            signing,
            header,
            verifying,
            validation,
            jwks: serde_json::to_string(&JwkSet { keys }).map_err(|_| wrong())?,
            issuer: tokens.issuer.clone(),
            audience: tokens.audience.clone(),
            lifetime: tokens.access_token_seconds,
        })
    }

    /// How long a new token is good, in seconds.
    pub fn lifetime(&self) -> u64 {
        self.lifetime
    }

    /// The public keys as a JWK set (RFC 7517), in JSON.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// Signs a token for an account, issued at `now` (seconds since 1970).
    ///
    /// # Errors
    /// The signature failed.
    pub fn issue(
        &self,
        sub: &str,
        email: &str,
        role: &str,
        now: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: sub.to_owned(),
            email: email.to_owned(),
            role: role.to_owned(),
            iat: now,
            exp: now + self.lifetime,
            jti: Uuid::now_v7().to_string(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing)
    }

    /// Checks a token's type, key, signature and claims.
    ///
    /// The algorithm is pinned to ES256, whatever the token says, and the key comes from the ring alone: `jwk`, `jku`
    /// and `x5u` in a token's header are ignored (RFC 8725, 3.1 and 3.10).
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let key = header
            .kid
            .and_then(|kid| self.verifying.get(&kid))
            .ok_or(TokenError::Invalid)?;
        match jsonwebtoken::decode::<Claims>(token, key, &self.validation) {
            Ok(token) => Ok(token.claims),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(TokenError::Expired),
            Err(_) => Err(TokenError::Invalid),
        }
    }
}

/// Names a key by its thumbprint (RFC 7638) and says what it is for.
fn published(mut jwk: Jwk) -> Result<Jwk, Unspecified> {
    jwk.common.key_id = Some(
        jwk.thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| Unspecified)?,
    );
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(jwk)
}
