//! Access tokens: JWT (RFC 7519), signed with ES256 unless the key is another one, of type `at+jwt` (RFC 9068), checked by RFC 8725.

mod claims;
pub mod keys;
pub mod refresh;
pub mod reset;
mod verified;

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use uuid::Uuid;

use crate::clock::now;
use crate::config::{ConfigError, Tokens};
use crate::identity::Identity;
use crate::telemetry::metrics::{Metrics, TokenRefusal};
pub use claims::{Claims, LEEWAY_SECONDS};
use keys::Ring;
use verified::Verified;

/// Nothing can take an access token back before it expires, so a day is the most, in seconds.
const MAX_LIFETIME: u64 = 24 * 60 * 60;

const TYPE: &str = "at+jwt";

/// Longer tokens are refused unread, in bytes. Ours have about 500, and 254 of e-mail at most.
const MAX_BYTES: usize = 4096;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It was good and is past its time.
    Expired,
    /// Anything else. The reader of the refusal may be an attacker, so it says no more.
    Invalid,
}

impl From<TokenRefusal> for TokenError {
    fn from(reason: TokenRefusal) -> Self {
        match reason {
            TokenRefusal::Expired => Self::Expired,
            _ => Self::Invalid,
        }
    }
}

/// The keys that are in use, until the directory is read again.
pub struct Keys {
    settings: Tokens,
    metrics: Arc<Metrics>,
    current: RwLock<Arc<KeyRing>>,
}

impl Keys {
    /// Reads the keys. Makes the first one if there is none and the settings say so.
    ///
    /// # Errors
    /// See [`KeyRing::load`].
    pub fn open(settings: &Tokens, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        if settings.generate_first_key && !settings.key_directory.as_os_str().is_empty() {
            keys::make_first_key(&settings.key_directory, now())?;
        }
        Ok(Self {
            current: RwLock::new(Arc::new(KeyRing::load(settings)?)),
            settings: settings.clone(),
            metrics,
        })
    }

    /// What signs and verifies now.
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs a token, as [`KeyRing::issue`] does, and counts it.
    ///
    /// # Errors
    /// The signature failed.
    pub fn issue(
        &self,
        identity: &Identity,
        session: &str,
        now: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let token = self.current().issue(identity, session, now)?;
        self.metrics.tokens_issued_total.inc();
        Ok(token)
    }

    /// Checks a token, as [`KeyRing::examine`] does, and counts those that are refused.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        self.current().examine(token).map_err(|reason| {
            self.refused(reason);
            reason.into()
        })
    }

    /// Counts a token that was refused for what its session is.
    pub fn refused(&self, reason: TokenRefusal) {
        self.metrics.token_refused(reason);
    }

    /// Reads the directory again. If anything in it is wrong, everything stays as it was.
    ///
    /// # Errors
    /// See [`KeyRing::load`].
    pub fn reload(&self) -> Result<(), ConfigError> {
        let ring = Arc::new(KeyRing::load(&self.settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }
}

/// The key that signs and the keys that verify.
pub struct KeyRing {
    signing: EncodingKey,
    header: Header,
    verifying: HashMap<String, (DecodingKey, Validation)>,
    verified: Verified,
    jwks: String,
    issuer: String,
    audience: String,
    lifetime: u64,
}

impl KeyRing {
    /// Checks what can be checked without making a key.
    ///
    /// # Errors
    /// See [`KeyRing::load`].
    pub fn check(tokens: &Tokens) -> Result<(), ConfigError> {
        let directory = &tokens.key_directory;
        let first = tokens.generate_first_key
            && !directory.as_os_str().is_empty()
            && (!directory.exists() || Ring::read(directory)?.keys.is_empty());
        if first {
            return lifetime(tokens).map(drop);
        }
        Self::load(tokens).map(drop)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it must be, by name.
    pub fn load(tokens: &Tokens) -> Result<Self, ConfigError> {
        let lifetime = lifetime(tokens)?;
        let ring = Ring::read(&tokens.key_directory)?;
        let wrong = |problem: &dyn Display| {
            ConfigError::file("tokens.key_directory", &tokens.key_directory, problem)
        };
        let signer = ring.signer().map_err(|problem| wrong(&problem))?;
        let mut header = Header::new(signer.algorithm);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(signer.kid.clone());
        let signing = signer.signing.clone();
        let signing = signing.ok_or_else(|| wrong(&"the key that signs is not private"))?;

        let mut verifying = HashMap::new();
        let mut published = Vec::new();
        for key in ring.keys {
            published.extend(key.public);
            verifying.insert(key.kid, (key.verifying, validation(tokens, key.algorithm)));
        }
        let jwks = serde_json::to_string(&JwkSet { keys: published });
        Ok(Self {
            signing,
            header,
            verifying,
            verified: Verified::default(),
            jwks: jwks.map_err(|error| wrong(&error))?,
            issuer: tokens.issuer.clone(),
            audience: tokens.audience.clone(),
            lifetime,
        })
    }

    /// The `kid` of the key that signs.
    pub fn signing_kid(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }

    /// How long a new token is good, in seconds.
    pub fn lifetime(&self) -> u64 {
        self.lifetime
    }

    /// The public keys as a JWK set (RFC 7517), in JSON.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// Signs a token for an account and one of its sessions, issued at `now` (seconds since 1970).
    ///
    /// # Errors
    /// The signature failed.
    pub fn issue(
        &self,
        identity: &Identity,
        session: &str,
        now: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: identity.id.clone(),
            sid: session.to_owned(),
            email: identity.email.clone(),
            role: identity.role.clone(),
            iat: now,
            exp: now + self.lifetime,
            jti: Uuid::now_v7().to_string(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing)
    }

    /// Checks a token, as [`KeyRing::examine`] does, and tells of the reason what a caller may know.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        self.examine(token).map_err(TokenError::from)
    }

    /// Checks a token's type, key, signature and claims, unless it has done so before.
    ///
    /// # Errors
    /// [`TokenRefusal`]
    pub fn examine(&self, token: &str) -> Result<Arc<Claims>, TokenRefusal> {
        if token.len() > MAX_BYTES {
            return Err(TokenRefusal::Malformed);
        }
        if let Some(claims) = self.verified.get(token, now()) {
            return Ok(claims);
        }
        let claims = Arc::new(self.examine_anew(token)?);
        self.verified.keep(token, &claims);
        Ok(claims)
    }

    /// Checks a token's type, key, signature and claims.
    ///
    /// The algorithm is the key's, whatever the token says, and the key comes from the ring alone: `jwk`, `jku` and
    /// `x5u` in a token's header are ignored (RFC 8725, 3.1 and 3.10).
    ///
    /// # Errors
    /// [`TokenRefusal`]
    fn examine_anew(&self, token: &str) -> Result<Claims, TokenRefusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenRefusal::Malformed)?;
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenRefusal::Malformed);
        }
        let (key, validation) = header
            .kid
            .and_then(|kid| self.verifying.get(&kid))
            .ok_or(TokenRefusal::UnknownKey)?;
        match jsonwebtoken::decode::<Claims>(token, key, validation) {
            // Good longer than any of ours: a clock is wrong, here or where it was issued.
            Ok(token) if token.claims.iat > now() + LEEWAY_SECONDS => Err(TokenRefusal::Claims),
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.kind() {
                ErrorKind::ExpiredSignature => TokenRefusal::Expired,
                ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => {
                    TokenRefusal::Signature
                }
                _ => TokenRefusal::Claims,
            }),
        }
    }
}

fn lifetime(tokens: &Tokens) -> Result<u64, ConfigError> {
    if (1..=MAX_LIFETIME).contains(&tokens.access_token_seconds) {
        return Ok(tokens.access_token_seconds);
    }
    let (given, most) = (tokens.access_token_seconds, MAX_LIFETIME);
    Err(ConfigError(format!(
        "tokens.access_token_seconds = {given} is out of bounds: 1 to {most}"
    )))
}

/// What a token must say. It is made for each key, as each has one algorithm.
fn validation(tokens: &Tokens, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[&tokens.issuer]);
    validation.set_audience(&[&tokens.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}
