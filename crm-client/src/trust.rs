//! How a target proves who it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::ClientBuilder;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::key::hex;
use crate::{Error, time};

/// Whose word is taken for who the target is. There is no way to take nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The authorities that this machine trusts.
    #[default]
    System,
    /// These too.
    Authority {
        /// One or more certificates in PEM form.
        pem: String,
    },
    /// One of these certificates alone, whoever signed it. Its name and dates must still be right.
    Pinned(Vec<Fingerprint>),
}

/// The SHA-256 of a certificate, or of its public key; the latter outlives a renewal with the same key.
///
/// ```text
/// openssl x509 -in cert.pem -noout -fingerprint -sha256
/// openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum
/// ```
///
/// ```
/// use crm_client::Fingerprint;
///
/// let colons = ["AB"; 32].join(":");
/// assert_eq!(colons.parse(), "ab".repeat(32).parse::<Fingerprint>());
/// assert!("AB:CD".parse::<Fingerprint>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let digits = text
            .trim()
            .chars()
            .filter(|&letter| letter != ':')
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|value| u8::try_from(value).ok())
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or(BadFingerprint)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[pair.len() - 1])
            .collect();
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if digits.len() == 64 => Ok(Self(bytes)),
            _ => Err(BadFingerprint),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The text is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFingerprint;

impl fmt::Display for BadFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fingerprint is 64 hexadecimal digits, with or without colons")
    }
}

impl std::error::Error for BadFingerprint {}

impl Trust {
    pub(crate) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        match self {
            Self::System => Ok(builder),
            Self::Authority { pem } => {
                let bad = |reason: &str| Error::BadOption {
                    option: "authority",
                    reason: reason.to_owned(),
                };
                let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                    .map_err(|_| bad("it is no certificate in PEM form"))?;
                if certificates.is_empty() {
                    return Err(bad("it holds no certificate in PEM form"));
                }
                Ok(builder.tls_certs_merge(certificates))
            }
            Self::Pinned(pins) => {
                if pins.is_empty() {
                    return Err(Error::BadOption {
                        option: "pinned certificates",
                        reason: "there are none".to_owned(),
                    });
                }
                let provider = Arc::new(aws_lc_rs::default_provider());
                let verifier = Pinned {
                    pins: pins.clone(),
                    provider: Arc::clone(&provider),
                };
                let mut config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(|error| Error::Tls {
                        reason: error.to_string(),
                    })?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
                    .with_no_client_auth();
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Ok(builder.tls_backend_preconfigured(config))
            }
        }
    }
}

/// Narrower than a chain of trust, not wider: the certificate itself is known. All else is checked as ever.
#[derive(Debug)]
struct Pinned {
    pins: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed =
            Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let tbs = parsed.tbs_certificate();
        let key = tbs
            .subject_public_key_info()
            .to_der()
            .map_err(|_| CertificateError::BadEncoding)?;
        let known = |der: &[u8]| self.pins.contains(&fingerprint(der));
        if !known(end_entity) && !known(&key) {
            return Err(rustls::Error::General(format!(
                "the certificate is not a pinned one: its SHA-256 is {}",
                fingerprint(end_entity)
            )));
        }
        let not_before = UnixTime::since_unix_epoch(tbs.validity().not_before.to_unix_duration());
        let not_after = UnixTime::since_unix_epoch(tbs.validity().not_after.to_unix_duration());
        let time = now;
        if time < not_before {
            return Err(CertificateError::NotValidYetContext { time, not_before }.into());
        }
        if time > not_after {
            return Err(CertificateError::ExpiredContext { time, not_after }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(der).into())
}

/// When a certificate ends.
pub(crate) fn not_after(der: &[u8]) -> Option<SystemTime> {
    let certificate = Certificate::from_der(der).ok()?;
    let end: Duration = certificate
        .tbs_certificate()
        .validity()
        .not_after
        .to_unix_duration();
    Some(time::from_unix(end.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_fingerprint_is_read_in_either_notation_and_nothing_else_is() {
        let plain = "0123456789abcdef".repeat(4);
        let print: Fingerprint = plain.parse().unwrap();
        assert_eq!(print.to_string(), plain);
        for bad in [
            "",
            "00",
            &plain[1..],
            &format!("{plain}0"),
            &plain.replace('f', "g"),
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
