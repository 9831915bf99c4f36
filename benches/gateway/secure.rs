//! A certificate for the subjects, and the clients' trust in it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::fault::Fault;

/// Flags of a subject that serves TLS. The files are in its folder.
pub const FLAGS: &[&str] = &[
    "--tls",
    "--tlscert",
    "certificate.pem",
    "--tlskey",
    "key.pem",
];

/// The name that the certificate is for.
const NAME: &str = "localhost";

/// Makes a certificate and its key in a folder, as [`FLAGS`] names them.
///
/// # Errors
///
/// Those of the files.
pub fn prepare(folder: &Path) -> Result<Arc<ClientConfig>, Fault> {
    let strange = |what: &str| Fault::Surprise(format!("cannot make a certificate: {what}"));
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])
        .map_err(|error| strange(&error.to_string()))?;
    fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots
        .add(made.cert.der().clone())
        .map_err(|error| strange(&error.to_string()))?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The session of one client.
///
/// # Errors
///
/// What rustls finds wrong with the configuration.
pub fn session(config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)
}
