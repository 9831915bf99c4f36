//! Certificates of the tests' own making, and the files they stand in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// A directory for the files of one test, removed with them.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// An empty one.
    pub fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegate-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        Directory { path }
    }

    /// Writes a file, in place of what it was, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path.join(name);
        fs::write(&path, text).expect("our directory is writable");
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// The path of a file that need not exist.
    pub fn path(&self, name: &str) -> String {
        let path = self.path.join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A certificate with its key, both in PEM.
pub struct Issued {
    /// The certificate, with what leads to the root.
    pub chain: String,
    /// The key.
    pub key: String,
}

/// Who issues certificates.
pub struct Authority {
    /// Its certificate in PEM.
    pub pem: String,
    /// Certificates between it and the root, in PEM.
    chain: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A root with a name of its own.
    pub fn new(name: &str) -> Authority {
        let (params, key) = authority(name);
        let pem = params.self_signed(&key).expect("a valid request").pem();
        Authority {
            pem,
            chain: String::new(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority that this one vouches for.
    pub fn intermediate(&self, name: &str) -> Authority {
        let (params, key) = authority(name);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a valid request");
        Authority {
            pem: certificate.pem(),
            chain: certificate.pem() + &self.chain,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these host names and addresses, with a new ECDSA key.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let key = KeyPair::generate().expect("there is randomness");
        self.issue_for(names, &key)
    }

    /// A certificate for this key.
    pub fn issue_for(&self, names: &[&str], key: &KeyPair) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        params.distinguished_name.push(DnType::CommonName, "test");
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(key, &self.issuer)
            .expect("a valid request");
        Issued {
            chain: certificate.pem() + &self.chain,
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority, and speaks these versions of TLS.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("our own PEM"))
            .expect("our own certificate");
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("versions that ring knows")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let key = KeyPair::generate().expect("there is randomness");
    let mut params = CertificateParams::new(Vec::new()).expect("no names are valid");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    (params, key)
}

/// The text of a file in tests/data.
pub fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
