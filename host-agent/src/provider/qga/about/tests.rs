//! Files beside a guest's sockets: what they may say, and what is refused.

use super::*;

const UUID: &str = "12345678-abcd-4ef0-8123-00000000000f";
const OTHER: &str = "22345678-abcd-4ef0-8123-00000000000f";

#[test]
fn a_file_names_a_guest_and_gives_it_labels_of_its_agents() {
    let about =
        About::of_own(&format!("name = 'web 1'\nuuid = '{UUID}'\n[labels]\nrole = 'front'\n")).expect("read");
    assert_eq!((about.name.as_deref(), about.id.as_ref().map(GuestId::as_str)), (Some("web 1"), Some(UUID)));
    assert_eq!(about.labels, Labels::from([("agent/role".into(), "front".into())]));
    assert_eq!(About::of_own(""), Ok(About::default()));
}

#[test]
fn a_file_that_says_anything_else_is_refused_as_a_whole() {
    for text in [
        "nome = 'x'",
        "name = ''",
        "name = \"a\\u001b[2J\"",
        "uuid = 'x'",
        "uuid = '00000000-0000-0000-0000-000000000000'",
        "[labels]\n'a b' = 'x'",
        "[labels]\nrole = 7",
        "[labels",
    ] {
        let why = About::of_own(text).expect_err(text);
        assert!(!why.contains('\n'), "{why}");
    }
    let many: String = (0..40).map(|n| format!("k{n} = 'x'\n")).collect();
    assert!(About::of_own(&format!("[labels]\n{many}")).is_err());
}

#[test]
fn proxmoxs_configuration_tells_name_and_uuid_of_the_machine_and_not_of_its_snapshots() {
    let text = format!(
        "agent: 1\ndescription: name: not this\nname: web-1\nsmbios1: uuid={UUID},serial=x\n\n[before]\nname: old\n\
         smbios1: uuid={OTHER}\n"
    );
    let about = About::of_proxmox(&text).expect("read");
    assert_eq!((about.name.as_deref(), about.id.as_ref().map(GuestId::as_str)), (Some("web-1"), Some(UUID)));
    assert_eq!(About::of_proxmox("#name: x\n"), Ok(About::default()));
}

#[test]
fn the_own_file_has_the_last_word_and_either_may_be_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, proxmox) = (folder.path().join("100.curfew.toml"), folder.path().join("100.conf"));
    assert_eq!(About::read(Some(&own), Some(&proxmox)), Ok(About::default()));
    std::fs::write(&proxmox, format!("name: web-1\nsmbios1: uuid={UUID}\n")).expect("a file");
    std::fs::write(&own, "name = 'front'\n").expect("a file");
    let about = About::read(Some(&own), Some(&proxmox)).expect("read");
    assert_eq!((about.name.as_deref(), about.id.as_ref().map(GuestId::as_str)), (Some("front"), Some(UUID)));
}

#[test]
fn a_file_without_end_or_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = folder.path().join("long");
    std::fs::write(&long, "#".repeat(300_000)).expect("a file");
    assert!(About::read(Some(&long), None).expect_err("too long").contains("long"));
    assert!(About::read(Some(folder.path()), None).is_err());
    assert!(About::read(Some(Path::new("/dev/zero")), None).is_err());
}
