//! What is made once, what is made anew, and what is never made over.

use super::*;
use crate::data_dir::{DataDir, write_private};
use curfew_proto::dial::pem;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn data_dir() -> (TempDir, DataDir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::ensure(&temp.path().join("data")).unwrap();
    (temp, dir)
}

fn domain() -> TrustDomain {
    TrustDomain::default()
}

fn material(dir: &DataDir, names: &[&str]) -> Result<Material, PkiError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Material::ensure(&PkiSource::BuiltIn, dir, &domain(), &names)
}

fn leaf(pem_text: &str) -> Leaf {
    Leaf::read(&pem::certificates(pem_text.as_bytes(), "it").unwrap()[0]).unwrap()
}

fn server_leaf(material: &Material) -> Leaf {
    Leaf::read(&material.chain[0]).unwrap()
}

fn modes(dir: &Path) -> Vec<u32> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect()
}

#[test]
fn everything_made_is_for_the_owner_alone() {
    let (_temp, dir) = data_dir();
    material(&dir, &["localhost"]).unwrap();
    assert_eq!(fs::metadata(dir.pki()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(modes(&dir.pki()), [0o600; 4]);
}

#[test]
fn a_second_start_makes_nothing_new() {
    let (_temp, dir) = data_dir();
    let first = material(&dir, &["localhost", "10.0.0.1"]).unwrap();
    let second = material(&dir, &["10.0.0.1", "localhost"]).unwrap();
    assert_eq!(first.authorities, second.authorities);
    assert_eq!(first.chain, second.chain);
}

#[test]
fn another_list_of_names_makes_another_server_certificate_of_the_same_authority() {
    let (_temp, dir) = data_dir();
    let first = material(&dir, &["localhost"]).unwrap();
    let second = material(&dir, &["localhost", "ctl.example", "::1"]).unwrap();
    assert_eq!(first.authorities, second.authorities);
    assert_eq!(server_leaf(&second).names, ["localhost", "ctl.example", "::1"]);
    assert_ne!(first.chain, second.chain);
}

#[test]
fn an_old_server_certificate_is_renewed() {
    let (_temp, dir) = data_dir();
    let (authority, _) = Authority::ensure(&dir, &domain()).unwrap();
    let now = SystemTime::now();
    let old = Lifetime { not_before: now - DAY, not_after: now + DAY * 100 };
    let issued = authority.issue(&Identity::Controller, &["localhost".into()], old).unwrap();
    write_private(&dir.pki().join("controller.key"), issued.key_pem.as_bytes()).unwrap();
    write_private(&dir.pki().join("controller.pem"), issued.certificate_pem.as_bytes()).unwrap();
    let renewed = server_leaf(&material(&dir, &["localhost"]).unwrap());
    assert!(renewed.not_after > now + DAY * 800, "{renewed:?}");
}

#[test]
fn a_server_certificate_and_key_that_a_crash_separated_are_made_anew() {
    let (_temp, dir) = data_dir();
    let first = material(&dir, &["localhost"]).unwrap();
    let (authority, _) = Authority::ensure(&dir, &domain()).unwrap();
    let other = authority.issue_controller(&["localhost".into()]).unwrap();
    write_private(&dir.pki().join("controller.key"), other.key_pem.as_bytes()).unwrap();
    let second = material(&dir, &["localhost"]).unwrap();
    assert_ne!(first.chain, second.chain);
    crate::tls::ServerTls::new(second).unwrap();
}

#[test]
fn an_authority_is_finished_after_a_crash_between_its_files() {
    let (_temp, dir) = data_dir();
    dir.ensure_pki().unwrap();
    let (_other_temp, other) = data_dir();
    Authority::ensure(&other, &domain()).unwrap();
    fs::copy(other.pki().join("ca.key"), dir.pki().join("ca.key")).unwrap();
    let (_, origin) = Authority::ensure(&dir, &domain()).unwrap();
    assert_eq!(origin, Origin::Made);
}

#[test]
fn an_authority_whose_key_is_gone_is_never_replaced() {
    let (_temp, dir) = data_dir();
    Authority::ensure(&dir, &domain()).unwrap();
    fs::remove_file(dir.pki().join("ca.key")).unwrap();
    let error = Authority::ensure(&dir, &domain()).unwrap_err();
    assert!(matches!(error, PkiError::KeyLost { .. }), "{error}");

    let (_other_temp, other) = data_dir();
    Authority::ensure(&other, &domain()).unwrap();
    fs::copy(other.pki().join("ca.key"), dir.pki().join("ca.key")).unwrap();
    let error = Authority::ensure(&dir, &domain()).unwrap_err();
    assert!(matches!(error, PkiError::KeyForeign { .. }), "{error}");
}

#[test]
fn an_authority_keeps_its_trust_domain() {
    let (_temp, dir) = data_dir();
    Authority::ensure(&dir, &domain()).unwrap();
    let error = Authority::ensure(&dir, &"other".parse().unwrap()).unwrap_err().to_string();
    assert!(error.ends_with(
        "ca.pem was made for the trust domain \"curfew\", and `trust_domain` is \"other\"; set it back: every \
         certificate carries it"
    ), "{error}");
}

#[test]
fn identities_are_issued_with_one_uri_and_their_lifetimes() {
    let (_temp, dir) = data_dir();
    let (authority, _) = Authority::ensure(&dir, &domain()).unwrap();
    let now = SystemTime::now();
    let host = "host-1".parse().unwrap();
    for (issued, uri, days) in [
        (authority.issue_agent(&host).unwrap(), "spiffe://curfew/agent/host-1", 365),
        (authority.issue_operator("alice").unwrap(), "spiffe://curfew/operator/alice", 90),
        (authority.issue_controller(&[]).unwrap(), "spiffe://curfew/controller", 825),
    ] {
        let leaf = leaf(&issued.certificate_pem);
        assert_eq!(leaf.uris, [uri]);
        assert!(leaf.not_before < now && leaf.not_before > now - DAY);
        assert!(leaf.not_after <= now + DAY * days + DAY && leaf.not_after > now + DAY * (days - 1));
    }
}

#[test]
fn serial_numbers_are_long_and_never_the_same() {
    let (_temp, dir) = data_dir();
    let (authority, _) = Authority::ensure(&dir, &domain()).unwrap();
    let serial = || leaf(&authority.issue_operator("alice").unwrap().certificate_pem).serial;
    let (first, second) = (serial(), serial());
    assert_ne!(first, second);
    assert!(first.len() >= 24, "{first}");
}

#[test]
fn no_certificate_outlives_its_authority() {
    let (_temp, dir) = data_dir();
    let (authority, _) = Authority::ensure(&dir, &domain()).unwrap();
    let now = SystemTime::now();
    let long = Lifetime { not_before: now, not_after: now + DAY * 5000 };
    let issued = authority.issue(&Identity::operator("alice").unwrap(), &[], long).unwrap();
    assert_eq!(leaf(&issued.certificate_pem).not_after, authority.not_after());
}

#[test]
fn with_a_pki_of_ones_own_nothing_is_made() {
    let (_temp, dir) = data_dir();
    let (_other_temp, other) = data_dir();
    material(&other, &["localhost"]).unwrap();
    let source = PkiSource::Files {
        ca: other.pki().join("ca.pem"),
        certificate: other.pki().join("controller.pem"),
        key: other.pki().join("controller.key"),
    };
    let material = Material::ensure(&source, &dir, &domain(), &[]).unwrap();
    crate::tls::ServerTls::new(material).unwrap();
    assert!(!dir.pki().exists());
}

#[test]
fn a_key_never_shows_in_debug_output() {
    let (_temp, dir) = data_dir();
    let (authority, _) = Authority::ensure(&dir, &domain()).unwrap();
    let issued = authority.issue_operator("alice").unwrap();
    let shown = format!("{authority:?} {issued:?} {:?}", material(&dir, &["localhost"]).unwrap());
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}
