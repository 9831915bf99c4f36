//! Who this end is where others connect by TLS: a certificate and its key, which can be read
//! again while connections are open.

use crate::config::Config;
use crate::secrets::{self, SecretError};
use rustls::ServerConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate and its key, and where they came from.
pub(super) struct Identity {
    config: Arc<ServerConfig>,
    certificate: PathBuf,
    key: PathBuf,
    /// Who connects by it.
    whom: &'static str,
}

impl Identity {
    /// That towards clients, if the configuration wants TLS.
    ///
    /// # Errors
    /// A file cannot be read, or is of no use.
    pub fn for_clients(config: &Config) -> Result<Option<Self>, SecretError> {
        match config {
            Config {
                tls: true,
                tls_cert: Some(certificate),
                tls_key: Some(key),
                ..
            } => Self::read(certificate, key, "clients").map(Some),
            _ => Ok(None),
        }
    }

    /// That of the broker inside towards services, if the configuration has one.
    ///
    /// # Errors
    /// A file cannot be read, or is of no use.
    pub fn for_services(config: &Config) -> Result<Option<Self>, SecretError> {
        match (&config.broker.tls_cert, &config.broker.tls_key) {
            (Some(certificate), Some(key)) => Self::read(certificate, key, "services").map(Some),
            _ => Ok(None),
        }
    }

    fn read(certificate: &Path, key: &Path, whom: &'static str) -> Result<Self, SecretError> {
        Ok(Self {
            config: secrets::server_config(certificate, key)?,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            whom,
        })
    }

    /// What a new connection is made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads the files again. Connections that were made before keep what they have.
    pub fn reload(&mut self) {
        match secrets::server_config(&self.certificate, &self.key) {
            Ok(config) => {
                self.config = config;
                log::info!(
                    "Loaded the TLS certificate {} again",
                    self.certificate.display()
                );
            }
            Err(error) => {
                let whom = self.whom;
                log::error!("{error}; new {whom} get the certificate from before");
            }
        }
    }
}
