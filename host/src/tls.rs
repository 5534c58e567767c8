//! TLS, by rustls: the certificate that is shown at the moment, which another can replace while connections live on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// `[tls]`: certificate and key of the port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// A PEM file with the certificate, those between it and the authority behind it.
    pub certificate: PathBuf,
    /// A PEM file with the private key of the certificate.
    pub key: PathBuf,
}

/// What shakes hands.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    now: Arc<Now>,
    acceptor: TlsAcceptor,
}

/// What handshakes show that begin now.
#[derive(Debug)]
struct Now(ArcSwap<Shown>);

/// A certificate with its key, and the files that they are from.
#[derive(Debug)]
pub struct Shown {
    files: Section,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Now {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

impl Tls {
    /// Reads certificate and key. TLS 1.2 and 1.3 are spoken, HTTP/2 is offered before HTTP/1.1.
    ///
    /// # Errors
    /// One sentence on what is wrong with which file.
    pub fn new(files: &Section) -> Result<Tls> {
        let provider = Arc::new(ring::default_provider());
        let now = Arc::new(Now(ArcSwap::from_pointee(read(files, &provider)?)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&now) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Clients that come again shake hands without the private key; the secret of the tickets is of this process, and changes.
        config.ticketer = ring::Ticketer::new().context("TLS cannot be set up")?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Tls { provider, now, acceptor })
    }

    /// Reads both files again. Handshakes from now on show what they have; connections that are there live on.
    ///
    /// # Errors
    /// One sentence on what is wrong with which file. What was shown before is kept.
    pub fn reload(&self) -> Result<()> {
        let files = self.now.0.load().files.clone();
        self.take(self.prepare(&files)?);
        Ok(())
    }

    /// Reads a certificate and its key, and shows them to nobody yet.
    ///
    /// # Errors
    /// As [`Tls::reload`].
    pub fn prepare(&self, files: &Section) -> Result<Shown> {
        read(files, &self.provider)
    }

    /// Shows this from now on.
    pub fn take(&self, shown: Shown) {
        self.now.0.store(Arc::new(shown));
    }

    /// Shakes hands.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

/// The certificate and its key, which must belong together.
fn read(files: &Section, provider: &CryptoProvider) -> Result<Shown> {
    let certificate = format!("tls.certificate {}", files.certificate.display());
    let key = format!("tls.key {}", files.key.display());
    let chain = chain(&files.certificate).map_err(|error| explain(&certificate, error))?;
    ensure!(!chain.is_empty(), "{certificate} has no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    let private = match PrivateKeyDer::from_pem_file(&files.key) {
        Ok(private) => private,
        Err(pem::Error::NoItemsFound) => {
            bail!(
                "{key} has no private key in PEM, or one behind a password: `openssl pkey -in OLD -out NEW` takes it off"
            )
        }
        Err(error) => return Err(explain(&key, error)),
    };
    let pair = CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            anyhow!("{key} is not the key of {certificate}")
        }
        rustls::Error::InvalidCertificate(error) => {
            anyhow!("{certificate} is no certificate that can be shown: {error}")
        }
        error => anyhow!("{key} cannot be used: {error}"),
    })?;
    Ok(Shown { files: files.clone(), key: Arc::new(pair) })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}

/// What is wrong with a file, without a word of what is in it.
fn explain(file: &str, error: pem::Error) -> anyhow::Error {
    match error {
        pem::Error::Io(error) => anyhow!("{file} cannot be read: {error}"),
        _ => anyhow!("{file} is broken PEM"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::open::tests::Scratch;

    /// A directory with a certificate and its key of this name.
    fn make(directory: &Path, name: &str) -> Section {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let files = Section {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, made.cert.pem()).expect("a file");
        fs::write(&files.key, made.signing_key.serialize_pem()).expect("a file");
        files
    }

    fn der(tls: &Tls) -> Vec<u8> {
        tls.now.0.load().key.cert.first().expect("a certificate").to_vec()
    }

    #[test]
    fn what_is_wrong_is_said_and_what_was_is_kept() {
        let scratch = Scratch::new("tls", "");
        let directory = scratch.path().parent().expect("a directory").to_owned();
        let (good, other) = (make(&directory, "a"), make(&directory, "b"));
        let tls = Tls::new(&good).expect("certificate and key");
        let shown = der(&tls);
        let cases = [
            (other.certificate.clone(), good.key.clone(), "is not the key of"),
            (good.certificate.clone(), other.key.clone(), "is not the key of"),
            (directory.join("none.pem"), good.key.clone(), "none.pem cannot be read"),
            (good.certificate.clone(), directory.join("none.key"), "none.key cannot be read"),
            (good.key.clone(), good.key.clone(), "has no certificate"),
            (good.certificate.clone(), good.certificate.clone(), "has no private key"),
        ];
        for (certificate, key, words) in cases {
            let error = Tls::new(&Section { certificate, key }).err().expect(words).to_string();
            assert!(error.contains(words), "{error}");
        }
        let pem = fs::read_to_string(&good.certificate).expect("text");
        let broken = [
            (pem.replace("-----END", "-----ENDE"), "broken PEM"),
            (pem.replacen("MII", "!!!", 1), "broken PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                "no certificate that can be shown",
            ),
        ];
        for (text, words) in broken {
            fs::write(&good.certificate, text).expect("a file");
            let error = tls.reload().expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
            assert_eq!(der(&tls), shown, "the old one is kept");
        }
        fs::copy(&other.certificate, &good.certificate).expect("a copy");
        assert!(tls.reload().is_err(), "the key is still the old one");
        fs::copy(&other.key, &good.key).expect("a copy");
        tls.reload().expect("a certificate and its key");
        assert_ne!(der(&tls), shown);
    }
}
