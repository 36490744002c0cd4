//! Who may speak with this controller, and how it proves itself: the built-in authority, or a PKI brought along.
//!
//! Identities are URIs in certificates ([`Identity`]). The built-in authority lies in the data directory and is made
//! at the first start; with a PKI of one's own nothing is made, and the controller only reads three files.

mod authority;
mod issue;
mod material;
#[cfg(test)]
mod tests;

pub use authority::{Authority, Origin};
pub use curfew_proto::identity::{Identity, IdentityError, Leaf, TrustDomain};
pub use issue::{Issued, Lifetime};
pub use material::{Material, PkiSource, server_names};

use crate::data_dir::DataDirError;
use curfew_proto::dial::PemError;
use std::path::PathBuf;

/// Why certificates cannot be read or issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The data directory said no.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A PEM file cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate does not say what it should.
    #[error("the certificate in {path} cannot be used")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// There is no authority in this data directory.
    #[error("there is no authority in {path}; `curfew-controller init` makes one")]
    NoAuthority {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The authority's certificate is there and its key is not.
    #[error(
        "{key} is missing while the authority's certificate is there; restore it from a backup: a new authority \
         would lock every agent and operator out"
    )]
    KeyLost {
        /// The missing file.
        key: PathBuf,
    },
    /// The authority's certificate and key are not of one pair.
    #[error("{certificate} and its key do not belong together; restore both from one backup")]
    KeyForeign {
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The setting has changed since the authority was made.
    #[error(
        "the authority in {path} was made for the trust domain {made:?}, and `trust_domain` is {set:?}; set it back: \
         every certificate carries it"
    )]
    TrustDomain {
        /// The authority's certificate.
        path: PathBuf,
        /// Its domain.
        made: String,
        /// The setting.
        set: String,
    },
    /// The authority has expired.
    #[error(
        "the authority in {path} has expired since {since}; a new one must be made and every certificate reissued"
    )]
    AuthorityExpired {
        /// The authority's certificate.
        path: PathBuf,
        /// Since when.
        since: String,
    },
    /// A name cannot be put into a certificate.
    #[error("{name:?} cannot be in a certificate: it is neither a DNS name nor an IP address")]
    Name {
        /// The name.
        name: String,
    },
    /// A certificate could not be made.
    #[error("cannot make {what}")]
    Make {
        /// What.
        what: &'static str,
        /// Why not.
        source: rcgen::Error,
    },
    /// The operating system gave no randomness.
    #[error("cannot make a serial number: the operating system gave no random bytes")]
    NoRandomness,
}
