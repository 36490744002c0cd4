//! The real binary: from nothing to a controller that an operator's context reaches, and back from a backup.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use curfew_proto::context::ContextFile;
use curfew_proto::dial::Credentials;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const BINARY: &str = env!("CARGO_BIN_EXE_curfew-controller");

/// A home directory and a data directory of one's own.
struct Place {
    temp: TempDir,
    port: u16,
}

impl Place {
    fn new() -> Place {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Place { temp: tempfile::tempdir().unwrap(), port: free.local_addr().unwrap().port() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn contexts(&self) -> PathBuf {
        self.path("home/.config/curfew/config.toml")
    }

    fn environment(&self, data_dir: &str) -> Vec<(&'static str, String)> {
        vec![
            ("HOME", self.path("home").display().to_string()),
            ("CURFEW_CONTROLLER_DATA_DIR", self.path(data_dir).display().to_string()),
            ("CURFEW_CONTROLLER_LISTEN", format!("127.0.0.1:{}", self.port)),
        ]
    }

    fn run_on(&self, data_dir: &str, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .args(arguments)
            .env_clear()
            .envs(self.environment(data_dir))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_on("data", arguments)
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        text(&output.stdout)
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        text(&output.stderr)
    }

    /// A controller that serves. What it logs is read until then.
    async fn controller(&self, data_dir: &str) -> Child {
        let mut child = tokio::process::Command::new(BINARY)
            .env_clear()
            .envs(self.environment(data_dir))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("serving") {
                // Read on, so that a full pipe never stops it.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return child;
            }
        }
        panic!("the controller ended: {:?}", child.wait().await);
    }

    async fn reach(&self) {
        let contexts = ContextFile::load(&self.contexts()).unwrap();
        let (_, context) = contexts.select(None).unwrap();
        let channel = context.dial().unwrap().connect().await.unwrap();
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn stop(mut child: Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let begun = Instant::now();
    let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status} after {:?}", begun.elapsed());
}

/// Every file and directory below, with what others may do to it.
fn open_to_others(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(path) = next.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if metadata.is_dir() {
            next.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[tokio::test]
async fn after_init_the_context_reaches_a_controller_that_is_just_started() {
    let place = Place::new();
    let said = place.succeeds(&["init", "--operator", "alice"]);
    assert!(said.contains("operator/alice (certificate issued until "), "{said}");
    let controller = place.controller("data").await;
    place.reach().await;
    stop(controller).await;
    assert_eq!(open_to_others(&place.path("data")), [] as [PathBuf; 0]);
    assert_eq!(open_to_others(&place.path("home/.config")), [] as [PathBuf; 0]);
}

#[test]
fn a_second_init_makes_no_new_authority_and_clobbers_no_context() {
    let place = Place::new();
    let contexts = place.contexts();
    fs::create_dir_all(contexts.parent().unwrap()).unwrap();
    let mine = "# my own\ncurrent = \"lab\"\n\n[contexts.lab]\nendpoint = \"https://lab:7443\"\nca = \"a\"\n\
                certificate = \"b\"\nkey = \"c\"\n";
    fs::write(&contexts, mine).unwrap();
    let said = place.succeeds(&["init", "--operator", "alice"]);
    assert!(said.contains("authority      made"), "{said}");
    let authority = fs::read(place.path("data/pki/ca.pem")).unwrap();
    let written = fs::read_to_string(&contexts).unwrap();
    assert!(written.starts_with(mine) && written.contains("[contexts.default]"), "{written}");

    let said = place.succeeds(&["init", "--operator", "alice"]);
    assert!(said.contains("authority      found"), "{said}");
    assert!(said.contains("operator/alice (has a certificate until "), "{said}");
    assert_eq!(fs::read(place.path("data/pki/ca.pem")).unwrap(), authority);
    assert_eq!(fs::read_to_string(&contexts).unwrap(), written);

    let said = place.fails(&["init", "--operator", "bob"]);
    assert!(said.contains("holds the identity of operator/alice, which stays"), "{said}");
}

#[test]
fn an_agents_identity_says_who_it_is_and_stays_that_agents() {
    let place = Place::new();
    let out = place.path("h1").display().to_string();
    let said = place.fails(&["agent-cert", "host-1", "--out", &out]);
    assert!(said.contains("`curfew-controller init` makes one"), "{said}");
    place.succeeds(&["init"]);
    place.succeeds(&["agent-cert", "host-1", "--out", &out]);
    let file = |name: &str| place.path("h1").join(name);
    let credentials = Credentials::from_files(&file("ca.pem"), &file("cert.pem"), &file("key.pem")).unwrap();
    assert_eq!(credentials.leaf().unwrap().uris, ["spiffe://curfew/agent/host-1"]);
    assert_eq!(open_to_others(&place.path("h1")), [] as [PathBuf; 0]);
    place.succeeds(&["agent-cert", "host-1", "--out", &out]);
    let said = place.fails(&["agent-cert", "host-2", "--out", &out]);
    assert!(said.contains("holds the identity of agent/host-1"), "{said}");
}

#[tokio::test]
async fn a_second_controller_on_one_data_directory_is_refused() {
    let place = Place::new();
    let first = place.controller("data").await;
    let said = place.fails(&["--listen", "127.0.0.1:0"]);
    assert!(said.contains("two must never share a data directory"), "{said}");
    assert!(said.contains(&format!("(process {})", first.id().unwrap())), "{said}");
    stop(first).await;
}

#[tokio::test]
async fn a_backup_of_a_running_controller_restores_into_one_that_its_clients_trust() {
    let place = Place::new();
    place.succeeds(&["init", "--operator", "alice"]);
    let backup = place.path("backup").display().to_string();
    let first = place.controller("data").await;
    place.succeeds(&["backup", &backup]);
    stop(first).await;
    assert_eq!(open_to_others(&place.path("backup")), [] as [PathBuf; 0]);

    let said = place.fails(&["backup", &backup]);
    assert!(said.contains("exists already"), "{said}");
    let said = place.fails(&["restore", &backup]);
    assert!(said.contains("is not empty; a backup is restored into a new data directory"), "{said}");

    let restored = place.run_on("restored", &["restore", &backup]);
    assert!(restored.status.success(), "{restored:?}");
    let second = place.controller("restored").await;
    place.reach().await;
    stop(second).await;
    assert_eq!(open_to_others(&place.path("restored")), [] as [PathBuf; 0]);
}

#[test]
fn a_restore_that_fails_leaves_the_directory_as_it_was() {
    let place = Place::new();
    let source = place.path("broken");
    fs::create_dir_all(source.join("pki")).unwrap();
    fs::write(source.join("pki/ca.pem"), "x").unwrap();
    fs::write(source.join("store.db"), "no database").unwrap();
    let manifest = "format = 1\nmade_at = \"x\"\nmade_by = \"x\"\ntrust_domain = \"curfew\"\n";
    fs::write(source.join("manifest.toml"), manifest).unwrap();
    let said = place.fails(&["restore", &source.display().to_string()]);
    assert!(said.contains("cannot put the store back"), "{said}");
    assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 0);
    let said = place.fails(&["restore", &place.path("nothing").display().to_string()]);
    assert!(said.contains("is not a backup: cannot read manifest.toml in it"), "{said}");
}

#[test]
fn the_status_codes_are_printed_as_the_published_table() {
    let place = Place::new();
    assert_eq!(place.succeeds(&["status-codes"]), curfew_types::StatusCode::markdown_table());
}
