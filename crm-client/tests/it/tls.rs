//! Who a target is: authorities, pins and ends, against a real TLS server.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crm_client::{Connector, Crm, Fingerprint, Outcome, Target, TargetOptions, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData,
    date_time_ymd,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::wire::entry;

/// 2099-12-31.
const END: u64 = 4_102_358_400;

struct Shown {
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Shown {
    fn pin(&self) -> Fingerprint {
        sha256(&self.der)
    }

    fn key_pin(&self) -> Fingerprint {
        sha256(&self.key.subject_public_key_info())
    }
}

fn sha256(bytes: &[u8]) -> Fingerprint {
    let digits = Sha256::digest(bytes).map(|byte| format!("{byte:02x}"));
    digits.as_slice().concat().parse().unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    params
}

fn self_signed(params: &CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().clone();
    Shown { der, key }
}

/// An authority's PEM, and a certificate it signed.
fn signed(params: &CertificateParams) -> (String, Shown) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let der = params.signed_by(&key, &authority).unwrap().der().clone();
    (authority.pem(), Shown { der, key })
}

/// Answers every request with 201; returns the port.
async fn serve(shown: &Shown) -> u16 {
    let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.der.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
                    if request.ends_with(b"}") || request.starts_with(b"GET") {
                        request.clear();
                        let _ = stream
                            .write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
                            .await;
                    }
                }
            });
        }
    });
    port
}

fn target(port: u16, trust: Trust) -> Target {
    let url = format!("https://localhost:{port}/");
    let mut options = TargetOptions::new(url, Connector::Json { batch_url: None });
    options.trust = trust;
    Target::new(options).unwrap()
}

async fn said(port: u16, trust: Trust) -> Result<(), String> {
    match target(port, trust).push(&[entry("17")]).await {
        Ok(outcomes) => {
            assert_eq!(outcomes, [Outcome::Accepted { remote_id: None }]);
            Ok(())
        }
        Err(error) => {
            assert_eq!(error.kind(), "crm_tls", "{error}");
            Err(error.to_string())
        }
    }
}

#[tokio::test]
async fn an_authority_is_trusted_where_it_is_named_and_only_there() {
    let (pem, shown) = signed(&params("localhost"));
    let (other, _) = signed(&params("localhost"));
    let port = serve(&shown).await;
    assert_eq!(said(port, Trust::Authority { pem }).await, Ok(()));
    assert!(said(port, Trust::System).await.is_err());
    assert!(said(port, Trust::Authority { pem: other }).await.is_err());
}

#[tokio::test]
async fn an_authority_does_not_make_another_name_or_an_old_certificate_good() {
    let (pem, shown) = signed(&params("elsewhere.example"));
    assert!(
        said(serve(&shown).await, Trust::Authority { pem })
            .await
            .is_err()
    );
    let mut old = params("localhost");
    old.not_after = date_time_ymd(2021, 1, 1);
    let (pem, shown) = signed(&old);
    let error = said(serve(&shown).await, Trust::Authority { pem })
        .await
        .unwrap_err();
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn a_pinned_certificate_needs_no_authority() {
    let shown = self_signed(&params("localhost"));
    let port = serve(&shown).await;
    assert!(said(port, Trust::System).await.is_err());
    assert_eq!(said(port, Trust::Pinned(vec![shown.pin()])).await, Ok(()));
    assert_eq!(
        said(port, Trust::Pinned(vec![shown.key_pin()])).await,
        Ok(())
    );
    let other = self_signed(&params("localhost")).pin();
    assert_eq!(
        said(port, Trust::Pinned(vec![other, shown.pin()])).await,
        Ok(())
    );
    let error = said(port, Trust::Pinned(vec![other])).await.unwrap_err();
    assert!(error.contains(&shown.pin().to_string()), "{error}");
}

#[tokio::test]
async fn a_pin_does_not_make_another_name_or_an_old_certificate_good() {
    let shown = self_signed(&params("elsewhere.example"));
    assert!(
        said(serve(&shown).await, Trust::Pinned(vec![shown.pin()]))
            .await
            .is_err()
    );
    let mut old = params("localhost");
    old.not_after = date_time_ymd(2021, 1, 1);
    let shown = self_signed(&old);
    let error = said(serve(&shown).await, Trust::Pinned(vec![shown.pin()]))
        .await
        .unwrap_err();
    assert!(error.contains("expired"), "{error}");
    let mut young = params("localhost");
    young.not_before = date_time_ymd(2098, 1, 1);
    let shown = self_signed(&young);
    let error = said(serve(&shown).await, Trust::Pinned(vec![shown.pin()]))
        .await
        .unwrap_err();
    assert!(error.contains("not valid yet"), "{error}");
}

#[tokio::test]
async fn a_check_and_a_push_tell_when_the_certificate_ends() {
    let shown = self_signed(&params("localhost"));
    let port = serve(&shown).await;
    let end = Some(UNIX_EPOCH + Duration::from_secs(END));
    let checked = target(port, Trust::Pinned(vec![shown.pin()]));
    assert_eq!(checked.check().await.unwrap().certificate_ends, end);
    let pushed = target(port, Trust::Pinned(vec![shown.pin()]));
    assert_eq!(pushed.certificate_ends(), None);
    pushed.push(&[entry("17")]).await.unwrap();
    assert_eq!(pushed.certificate_ends(), end);
}

#[test]
fn trust_in_nothing_is_refused() {
    let kind = |trust: Trust| {
        let mut options = TargetOptions::new("https://crm.example/", Connector::DeviceData);
        options.trust = trust;
        Target::new(options).unwrap_err().kind()
    };
    assert_eq!(kind(Trust::Pinned(vec![])), "crm_bad_option");
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let kind = kind(Trust::Authority { pem: pem.into() });
        assert!(["crm_bad_option", "crm_tls"].contains(&kind), "{kind}");
    }
}
