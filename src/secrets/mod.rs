//! Certificates, keys and credentials, from the files that the configuration names.
//!
//! They are read at the start, before anything is opened, so that a wrong file is told at
//! once; those for clients are read again when a signal asks for it.

mod validity;
mod verifier;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::{Config, read_whole};
use crate::nats::{CredentialsError, UserCredentials};
pub(crate) use validity::Validity;
use verifier::{AnyCertificate, Verifier};

/// Most that is read of one file, in bytes: the root certificates of a system are less
/// than half of it.
const FILE_MAX: u64 = 1 << 20;

/// Where systems keep their root certificates as one file; the first one that exists
/// counts. Debian, Fedora, openSUSE, RHEL, Alpine and macOS.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A file that does not hold what it should.
#[derive(Debug)]
pub struct SecretError {
    /// What should be in it.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: SecretProblem,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum SecretProblem {
    /// The system does not let us read it.
    Unreadable(io::Error),
    /// It is larger than such a file can be.
    TooLarge,
    /// It is not PEM; with the reader's words.
    Pem(String),
    /// There is no PEM section of the right kind in it.
    Missing,
    /// The key in it is encrypted.
    Encrypted,
    /// The key does not belong to the certificate in this file.
    OtherKey {
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// What is in it cannot be used; with the reason.
    Unusable(String),
    /// It is no NATS credentials file.
    Credentials(CredentialsError),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, path) = (self.what, self.path.display());
        match &self.cause {
            SecretProblem::Unreadable(error) => write!(f, "cannot read the {what} {path}: {error}"),
            SecretProblem::TooLarge => write!(
                f,
                "the {what} {path} is larger than {FILE_MAX} bytes; is it the right file?"
            ),
            SecretProblem::Pem(words) => write!(f, "the {what} {path} is not valid PEM: {words}"),
            SecretProblem::Missing => write!(
                f,
                "there is no {what} in {path}; give a file in PEM form, with lines like \
                 -----BEGIN ...-----"
            ),
            SecretProblem::Encrypted => write!(
                f,
                "the {what} {path} is encrypted; give one without a passphrase"
            ),
            SecretProblem::OtherKey { certificate } => write!(
                f,
                "the {what} {path} does not belong to the first certificate in {}",
                certificate.display()
            ),
            SecretProblem::Unusable(words) => {
                write!(f, "the {what} {path} cannot be used: {words}")
            }
            SecretProblem::Credentials(error) => write!(f, "the {what} {path}: {error}"),
        }
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            SecretProblem::Unreadable(error) => Some(error),
            SecretProblem::Credentials(error) => Some(error),
            _ => None,
        }
    }
}

/// One file and what is expected in it.
#[derive(Clone, Copy)]
struct Source<'a> {
    what: &'static str,
    path: &'a Path,
}

impl Source<'_> {
    fn error(self, cause: SecretProblem) -> SecretError {
        SecretError {
            what: self.what,
            path: self.path.to_owned(),
            cause,
        }
    }

    fn read(self) -> Result<Vec<u8>, SecretError> {
        let bytes = read_whole(self.path, FILE_MAX)
            .map_err(|error| self.error(SecretProblem::Unreadable(error)))?;
        match bytes.len() as u64 > FILE_MAX {
            true => Err(self.error(SecretProblem::TooLarge)),
            false => Ok(bytes),
        }
    }

    fn pem(self, error: pem::Error) -> SecretError {
        self.error(match error {
            pem::Error::NoItemsFound => SecretProblem::Missing,
            error => SecretProblem::Pem(error.to_string()),
        })
    }

    /// All certificates of the file, one at least.
    fn certificates(self) -> Result<Vec<CertificateDer<'static>>, SecretError> {
        let bytes = self.read()?;
        let certificates = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.pem(error))?;
        match certificates.is_empty() {
            true => Err(self.error(SecretProblem::Missing)),
            false => Ok(certificates),
        }
    }

    /// The first key of the file.
    fn key(self) -> Result<PrivateKeyDer<'static>, SecretError> {
        const ENCRYPTED: &[u8] = b"ENCRYPTED";
        let bytes = self.read()?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            match bytes.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
                true => self.error(SecretProblem::Encrypted),
                false => self.pem(error),
            }
        })
    }

    /// Adds the certificates of the file to `roots`, and returns them.
    fn root_certificates(
        self,
        roots: &mut RootCertStore,
    ) -> Result<Vec<CertificateDer<'static>>, SecretError> {
        let certificates = self.certificates()?;
        // Systems carry certificates that are not valid for one reader or another.
        let (added, ignored) = roots.add_parsable_certificates(certificates.iter().cloned());
        match added {
            0 => Err(self.error(SecretProblem::Unusable(format!(
                "none of the {ignored} certificates in it is valid"
            )))),
            _ => Ok(certificates),
        }
    }
}

/// A certificate with its chain, and the key of it.
struct Identity<'a> {
    certificate: Source<'a>,
    key: Source<'a>,
}

impl Identity<'_> {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SecretError> {
        Ok((self.certificate.certificates()?, self.key.key()?))
    }

    /// What an error means that rustls has given for the two.
    fn error(&self, error: rustls::Error) -> SecretError {
        match error {
            rustls::Error::InconsistentKeys(_) => self.key.error(SecretProblem::OtherKey {
                certificate: self.certificate.path.to_owned(),
            }),
            rustls::Error::InvalidCertificate(error) => self
                .certificate
                .error(SecretProblem::Unusable(format!("{error:?}"))),
            error => self.key.error(SecretProblem::Unusable(error.to_string())),
        }
    }
}

/// How TLS is spoken with clients who connect, with the certificate and key of these
/// files.
///
/// Sessions are resumed by tickets, which the clients keep: nothing grows with their
/// number.
///
/// # Errors
///
/// A file cannot be read or used, or the key does not belong to the certificate.
pub(crate) fn server_config(
    certificate: &Path,
    key: &Path,
) -> Result<Arc<ServerConfig>, SecretError> {
    let identity = Identity {
        certificate: Source {
            what: "TLS certificate",
            path: certificate,
        },
        key: Source {
            what: "TLS key",
            path: key,
        },
    };
    let (chain, secret) = identity.read()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| identity.error(error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| identity.error(error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new().map_err(|error| identity.error(error))?;
    Ok(Arc::new(config))
}

/// What is shown to NATS servers, and what they are checked by.
#[derive(Debug)]
pub(crate) struct BrokerSecrets {
    /// The user's JWT and key.
    pub(crate) user: Option<UserCredentials>,
    /// Whether TLS is wanted even if neither the URL nor the server asks for it.
    pub(crate) wants_tls: bool,
    /// Whether TLS begins before the server has said anything.
    pub(crate) tls_first: bool,
    /// The root certificates of the configuration's files, and the same one by one.
    roots: Arc<RootCertStore>,
    named: Vec<CertificateDer<'static>>,
    /// The files of certificate and key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl BrokerSecrets {
    /// Reads the files that the configuration names, to find what is wrong with them.
    ///
    /// # Errors
    ///
    /// A file cannot be read or used.
    pub(crate) fn load(config: &Config) -> Result<Self, SecretError> {
        let user = match &config.nats_creds {
            None => None,
            Some(path) => {
                let source = Source {
                    what: "NATS credentials file",
                    path,
                };
                let bytes = source.read()?;
                let user = UserCredentials::parse(&bytes)
                    .map_err(|error| source.error(SecretProblem::Credentials(error)))?;
                Some(user)
            }
        };
        let mut roots = RootCertStore::empty();
        let mut named = Vec::new();
        for path in &config.nats_root_cas {
            let what = "root certificate for NATS";
            named.extend(Source { what, path }.root_certificates(&mut roots)?);
        }
        let secrets = Self {
            user,
            wants_tls: !roots.is_empty() || config.nats_cert.is_some() || config.nats_tls_first,
            tls_first: config.nats_tls_first,
            roots: Arc::new(roots),
            named,
            identity: config.nats_cert.clone().zip(config.nats_key.clone()),
        };
        if secrets.wants_tls {
            secrets.tls_config()?;
        }
        Ok(secrets)
    }

    /// How TLS is spoken with NATS servers. Without root certificates of the
    /// configuration's the system's are read.
    ///
    /// # Errors
    ///
    /// A file cannot be read or used.
    pub(crate) fn tls_config(&self) -> Result<Arc<ClientConfig>, SecretError> {
        let roots = match self.named.is_empty() {
            true => system_roots()?,
            false => Arc::clone(&self.roots),
        };
        let (certificate, key) = match &self.identity {
            Some((certificate, key)) => (certificate.as_path(), key.as_path()),
            None => (Path::new(""), Path::new("")),
        };
        let identity = Identity {
            certificate: Source {
                what: "client certificate for NATS",
                path: certificate,
            },
            key: Source {
                what: "client key for NATS",
                path: key,
            },
        };
        let verifier = Verifier::new(roots, self.named.clone(), provider())
            .map_err(|words| identity.certificate.error(SecretProblem::Unusable(words)))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| identity.error(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(_) => {
                let (chain, secret) = identity.read()?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|error| identity.error(error))?
            }
        };
        // There is one connection, and it is not made again.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// How TLS is spoken with a gateway that the command line asks: it is checked by the root
/// certificates of this file, or by the system's, or not at all.
///
/// # Errors
///
/// A file cannot be read or used.
pub(crate) fn client_config(
    roots: Option<&Path>,
    is_insecure: bool,
) -> Result<Arc<ClientConfig>, SecretError> {
    let what = "root certificate";
    let path = roots.unwrap_or(Path::new(""));
    let source = Source { what, path };
    let unusable = |words: String| source.error(SecretProblem::Unusable(words));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = if is_insecure {
        Arc::new(AnyCertificate::new(provider()))
    } else {
        let (roots, named) = match roots {
            None => (system_roots()?, Vec::new()),
            Some(_) => {
                let mut roots = RootCertStore::empty();
                let named = source.root_certificates(&mut roots)?;
                (Arc::new(roots), named)
            }
        };
        Arc::new(Verifier::new(roots, named, provider()).map_err(unusable)?)
    };
    let mut config = builder
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// From when until when the first certificate of a file is valid, if that can be read.
pub(crate) fn validity_of(path: &Path) -> Option<Validity> {
    let what = "certificate";
    let certificates = Source { what, path }.certificates().ok()?;
    validity::validity(certificates.first()?)
}

/// The name that a server's certificate must be for.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

/// The system's root certificates, from `SSL_CERT_FILE` or the usual places.
fn system_roots() -> Result<Arc<RootCertStore>, SecretError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut usual = SYSTEM_ROOTS.iter().map(PathBuf::from);
    let path = named
        .or_else(|| usual.find(|path| path.exists()))
        .unwrap_or_else(|| SYSTEM_ROOTS[0].into());
    let mut roots = RootCertStore::empty();
    Source {
        what: "file of the system's root certificates",
        path: &path,
    }
    .root_certificates(&mut roots)?;
    Ok(Arc::new(roots))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
