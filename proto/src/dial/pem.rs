//! Certificates and keys as PEM, read with errors that name the file and never show its contents.

#![allow(clippy::wildcard_enum_match_arm, reason = "the enums matched here are other crates' and open-ended")]

use rustls::pki_types::pem::{Error as SyntaxError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io;
use std::path::Path;

/// Why a PEM file or text cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The file cannot be read.
    #[error("cannot read {origin}")]
    Read {
        /// The file.
        origin: String,
        /// Why.
        source: io::Error,
    },
    /// The text is no PEM.
    #[error("{origin} is not readable as PEM: {why}")]
    Syntax {
        /// The file, or what else the text came from.
        origin: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The text is PEM, but of something else.
    #[error("{origin} holds no {wanted}: it must have a block that begins with {marker}")]
    Missing {
        /// The file, or what else the text came from.
        origin: String,
        /// What was looked for.
        wanted: &'static str,
        /// The line that opens such a block.
        marker: &'static str,
    },
}

/// Reads a whole file.
///
/// # Errors
/// When it cannot be read; the error names the file.
pub fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|source| PemError::Read { origin: path.display().to_string(), source })
}

/// Every certificate in a PEM text, in its order; `origin` is named in errors.
///
/// # Errors
/// When the text is no PEM or has no certificate.
pub fn certificates(pem: &[u8], origin: impl fmt::Display) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| syntax(&error, &origin))?;
    if found.is_empty() {
        return Err(PemError::Missing {
            origin: origin.to_string(),
            wanted: "certificate",
            marker: "-----BEGIN CERTIFICATE-----",
        });
    }
    Ok(found)
}

/// The first private key in a PEM text; `origin` is named in errors.
///
/// # Errors
/// When the text is no PEM or has no key that is not encrypted.
pub fn private_key(pem: &[u8], origin: impl fmt::Display) -> Result<PrivateKeyDer<'static>, PemError> {
    let missing = || PemError::Missing {
        origin: origin.to_string(),
        wanted: "unencrypted private key",
        marker: "-----BEGIN PRIVATE KEY-----",
    };
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        SyntaxError::NoItemsFound => missing(),
        other => syntax(&other, &origin),
    })
}

/// The library's own words print bytes of the file, which may be a key's: only their kind is passed on.
fn syntax(error: &SyntaxError, origin: &impl fmt::Display) -> PemError {
    let why = match error {
        SyntaxError::MissingSectionEnd { .. } => "a block has no END line; was the file cut short?",
        SyntaxError::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        SyntaxError::Base64Decode(_) => "a block is not base 64; was it edited?",
        SyntaxError::NoItemsFound => "there is no block in it",
        _ => "a block is malformed or too large",
    };
    PemError::Syntax { origin: origin.to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/ca.pem")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/ca.pem");
    }

    #[test]
    fn a_file_without_a_certificate_says_what_it_lacks() {
        let error = certificates(b"hello", "ca.pem").unwrap_err();
        assert_eq!(
            error.to_string(),
            "ca.pem holds no certificate: it must have a block that begins with -----BEGIN CERTIFICATE-----"
        );
    }

    #[test]
    fn a_broken_key_file_never_shows_its_contents() {
        let pem = b"-----BEGIN PRIVATE KEY-----\nSECRETSECRET!\n";
        let error = private_key(pem, "key.pem").unwrap_err();
        assert_eq!(
            error.to_string(),
            "key.pem is not readable as PEM: a block has no END line; was the file cut short?"
        );
    }
}
