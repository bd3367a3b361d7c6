//! A private authority and what it signs, as files.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

use crate::support::process::write_file;

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("signs itself") }
    }

    pub(crate) fn file(&self, directory: &Path, name: &str) -> PathBuf {
        write_file(directory, name, &self.issuer.pem())
    }

    /// A server's certificate for these names and addresses.
    pub(crate) fn server(&self, directory: &Path, name: &str, hosts: &[&str]) -> Files {
        self.signed(directory, name, hosts, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate.
    pub(crate) fn client(&self, directory: &Path, name: &str) -> Files {
        self.signed(directory, name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn signed(
        &self,
        directory: &Path,
        name: &str,
        hosts: &[&str],
        purpose: ExtendedKeyUsagePurpose,
    ) -> Files {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("signed");
        Files {
            cert: write_file(directory, &format!("{name}.crt"), &cert.pem()),
            key: write_file(directory, &format!("{name}.key"), &key.serialize_pem()),
        }
    }
}
