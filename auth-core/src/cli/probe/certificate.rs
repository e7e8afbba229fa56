//! The certificate that a server shows: whether it is valid, and until when, also where it is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::{Date, Month};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::cli::authorities::Authorities;
use crate::error::Cause;

/// Agrees on keys with a server. Answers when its certificate expires (seconds since 1970), if it showed one, and what is wrong with it.
pub async fn check(
    host: &str,
    port: u16,
    known: &Authorities,
    limit: Duration,
) -> (Option<i64>, Result<(), Cause>) {
    let expires = Arc::new(Mutex::new(None));
    let handshake = handshake(host, port, known, Arc::clone(&expires));
    let valid = match timeout(limit, handshake).await {
        Ok(valid) => valid,
        Err(_) => Err(format!("no handshake within {} s", limit.as_secs()).into()),
    };
    let expires = *expires.lock().unwrap_or_else(PoisonError::into_inner);
    (expires, valid)
}

async fn handshake(
    host: &str,
    port: u16,
    known: &Authorities,
    expires: Arc<Mutex<Option<i64>>>,
) -> Result<(), Cause> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        known
            .iter()
            .map(|certificate| CertificateDer::from_slice(certificate.der())),
    );
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Noting { verifier, expires }))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TcpStream::connect((host, port)).await?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    Ok(())
}

/// Verifies as every client does, and notes when the certificate expires before it may refuse it.
#[derive(Debug)]
struct Noting {
    verifier: Arc<WebPkiServerVerifier>,
    expires: Arc<Mutex<Option<i64>>>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.expires.lock().unwrap_or_else(PoisonError::into_inner) = not_after(end_entity);
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// `notAfter` of a certificate in DER (RFC 5280, 4.1), in seconds since 1970. Nothing else of it is read.
fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // The version may be left out.
    if let (VERSION, _, after) = element(rest)? {
        rest = after;
    }
    // The serial number, the algorithm, the issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    seconds(tag, time)
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first element of DER (X.690): its tag, what is in it, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // No certificate is longer.
        if bytes.len() > 3 {
            return None;
        }
        let length = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
fn seconds(tag: u8, time: &[u8]) -> Option<i64> {
    let digits = time.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) || digits.len() % 2 != 0 {
        return None;
    }
    let mut pairs = digits
        .chunks_exact(2)
        .map(|pair| (pair[0] - b'0') * 10 + (pair[1] - b'0'));
    let year = match tag {
        UTC_TIME => match i32::from(pairs.next()?) {
            year @ 50.. => 1900 + year,
            year => 2000 + year,
        },
        GENERALIZED_TIME => i32::from(pairs.next()?) * 100 + i32::from(pairs.next()?),
        _ => return None,
    };
    let month = Month::try_from(pairs.next()?).ok()?;
    let date = Date::from_calendar_date(year, month, pairs.next()?).ok()?;
    let at = date
        .with_hms(pairs.next()?, pairs.next()?, pairs.next()?)
        .ok()?;
    match pairs.next() {
        None => Some(at.assume_utc().unix_timestamp()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_of_a_time_are_understood() {
        for (tag, time, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "20500101000000Z", None),
            (GENERALIZED_TIME, "491231235959Z", None),
            (UTC_TIME, "491331235959Z", None),
            (UTC_TIME, "4912312359Z", None),
            (UTC_TIME, "49123123595a", None),
            (UTC_TIME, "+91231235959Z", None),
            (UTC_TIME, "", None),
            (7, "491231235959Z", None),
        ] {
            assert_eq!(seconds(tag, time.as_bytes()), expected, "{time}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_none_has_no_end() {
        let pem = include_str!("../../../tests/it/tls/certificate.pem");
        let der = pem::parse(pem).unwrap().into_contents();
        assert!(not_after(&der).is_some());
        for length in 0..der.len() {
            let _ = not_after(&der[..length]);
        }
        for other in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0xff, 1],
            &[0x30, 0x84, 1, 1, 1, 1],
            &[0; 40],
        ] {
            assert_eq!(not_after(other), None, "{other:?}");
        }
    }
}
