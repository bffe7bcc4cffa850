//! Makes a certificate for the page that nobody has signed, and says how to recognise a certificate.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use hetmm::error::{Error, Result};
use hetmm::files;
use hetmm::line::config::LineConfig;
use rcgen::{CertificateParams, DnType, KeyPair};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// Makes `web.tls_cert` and `web.tls_key` for the names and addresses under which the page is opened: this machine,
/// those of `web.hosts`, the one of `web.listen`, and `more`. It never replaces a file. Returns the fingerprint.
///
/// # Errors
/// [`hetmm::error::Kind::Usage`] if the configuration names no files, a file is there already, or a name is no name;
/// [`hetmm::error::Kind::Io`] if a file cannot be written.
pub fn make(config: &LineConfig, more: &[String]) -> Result<String> {
    let (Some(cert), Some(key)) = (&config.web.tls_cert, &config.web.tls_key) else {
        return Err(Error::usage("the configuration names no files for the certificate")
            .advise("set web.tls_cert and web.tls_key to the paths where the files shall be"));
    };
    if let Some(there) = [cert, key].into_iter().find(|path| path.exists()) {
        return Err(Error::usage(format!("{} is there already", there.display()))
            .advise("to make a new certificate, move both files away first"));
    }
    let unusable = |why: String| {
        Error::usage(format!("no certificate can be made: {why}"))
            .advise("give names such as cam1.example.com, or addresses such as 192.0.2.7")
    };
    let refused = |why: rcgen::Error| unusable(why.to_string());
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = [own.trim().to_owned(), config.device.name.clone()];
    names.extend(own.into_iter().filter(|name| is_host(name)));
    for name in config.web.hosts.iter().chain(more) {
        if !is_host(name) {
            return Err(unusable(format!("{name:?} is no name of a computer")));
        }
        names.insert(name.clone());
    }
    let listens = config.web.listen.map(|listen| listen.ip());
    names.extend(listens.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
    let mut asked =
        CertificateParams::new(names.into_iter().collect::<Vec<_>>()).map_err(refused)?;
    asked.distinguished_name.push(DnType::CommonName, format!("hetmm {}", config.device.name));
    let pair = KeyPair::generate().map_err(refused)?;
    let made = asked.self_signed(&pair).map_err(refused)?;
    write_new(key, &pem("PRIVATE KEY", &pair.serialize_der()), 0o600)?;
    write_new(cert, &pem("CERTIFICATE", made.der()), 0o644)?;
    Ok(fingerprint(made.der()))
}

/// Returns whether a text is an address, or a name that a computer can have in a network.
fn is_host(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(is_letter);
    is_name || text.parse::<IpAddr>().is_ok()
}

/// Returns the fingerprint of a certificate as browsers show it: SHA-256, two hexadecimal digits for each byte.
pub fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<String> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// Returns the text form of a certificate or key (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Writes a file that is not there yet, for the owner of its folder: root may call this, and another user reads it.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be written", &e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    files::write_new(path, text.as_bytes(), mode)?;
    if nix::unistd::geteuid().is_root() {
        let owner = std::fs::metadata(folder).map_err(failed)?;
        chown(path, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_the_form_that_browsers_show() {
        let expected = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:\
                        B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        assert_eq!(fingerprint(b"abc"), expected);
    }
}
