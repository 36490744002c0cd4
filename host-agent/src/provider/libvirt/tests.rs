//! The provider as the agent sees it, against stand-ins for `virsh`.

use super::fake::FakeVirsh;
use super::*;
use crate::provider::{EndMode, Look};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curfew_types::{GuestId, OnlyIf, PowerState, SessionKey, StatusCode};

const BUDGET: Duration = Duration::from_secs(30);
const UUID: &str = "0f1e2d3c-0000-4000-8000-0123456789ab";
const BOOT: &str = "0f1e2d3c-0000-4000-8000-0123456789ab:42";
const LISTING: &str = "list*) echo 0f1e2d3c-0000-4000-8000-0123456789ab web; echo; \
    printf \"Domain: 'web'\\n  state.state=1\\n\" ;;";

/// The provider over a `virsh` that lists one running domain and does the rest by these cases of its command.
fn over(cases: &str) -> (FakeVirsh, Arc<dyn Provider>, GuestId) {
    let virsh = FakeVirsh::new(&format!("case $1 in {LISTING} {cases} esac"));
    let host = "h1".parse().expect("a host name");
    let provider = build(&virsh.config(), &host).expect("a provider").expect("one");
    (virsh, provider, UUID.parse().expect("an id"))
}

/// A case in which every agent command fails with these words of libvirt's.
fn refusing(complaint: &str) -> String {
    format!("qemu-agent-command) echo \"error: {complaint}\" >&2; exit 1 ;;")
}

/// Cases of a guest whose every program prints this.
fn printing(output: &str) -> String {
    let output = STANDARD.encode(output);
    format!(
        "qemu-agent-command) printf '%s\\n' \"$5\" >>$here/sent; case $5 in \
         *guest-get-osinfo*) echo '{{\"return\":{{\"id\":\"debian\"}}}}' ;; \
         *guest-exec-status*) echo '{{\"return\":{{\"exited\":true,\"exitcode\":0,\"out-data\":\"{output}\"}}}}' ;; \
         *guest-exec*) echo '{{\"return\":{{\"pid\":7}}}}' ;; esac ;;"
    )
}

async fn listing_fails(cases: &str) -> Error {
    let (_virsh, provider, id) = over(cases);
    provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("no list")
}

#[tokio::test]
async fn domains_are_guests_by_their_uuid() {
    let (_virsh, provider, id) = over(&refusing("argument unsupported: QEMU guest agent is not configured"));
    let guests = provider.discover().await.expect("guests");
    assert_eq!(guests.len(), 1);
    assert_eq!((&guests[0].id, guests[0].name.as_ref(), guests[0].power), (&id, "web", PowerState::Running));
    assert_eq!(guests[0].provider.as_ref(), "libvirt");
}

#[tokio::test]
async fn a_domain_without_anybody_has_an_empty_list_and_a_boot() {
    let printed = format!("boot {BOOT}\nnow 1700000000000\nlist {{\"data\":[[]]}}\nend\n");
    let (virsh, provider, id) = over(&printing(&printed));
    let list = provider.list_sessions(&id, Look::default(), BUDGET).await.expect("a list");
    assert_eq!((list.boot.as_str(), list.sessions.len()), (BOOT, 0));
    assert!(virsh.written("sent").lines().all(|line| line.starts_with("{\"")), "one line of JSON each");
}

#[tokio::test]
async fn refusals_of_libvirts_are_the_contracts_codes() {
    let unconfigured =
        listing_fails(&refusing("argument unsupported: QEMU guest agent is not configured")).await;
    assert_eq!(unconfigured.code, StatusCode::AdditionsFeatureNotAvail);
    let stopped = "Guest agent is not responding: QEMU guest agent is not connected";
    assert_eq!(listing_fails(&refusing(stopped)).await.code, StatusCode::AdditionsNotAvail);
    let gone = "Domain not found: no domain with matching uuid";
    assert_eq!(listing_fails(&refusing(gone)).await.code, StatusCode::VmUnknown);
}

#[tokio::test]
async fn a_domain_that_does_not_run_is_told_from_a_paused_one() {
    for (state, code) in [
        ("paused", StatusCode::VmPaused),
        ("pmsuspended", StatusCode::VmPaused),
        ("shut off", StatusCode::VmNotRunning),
        ("crashed", StatusCode::VmNotRunning),
        ("running", StatusCode::AdditionsNotAvail),
    ] {
        let refusal = refusing("Requested operation is not valid: domain is not running");
        let cases = format!("{refusal} domstate) echo '{state}'; echo ;;");
        assert_eq!(listing_fails(&cases).await.code, code, "{state}");
    }
}

#[tokio::test]
async fn an_agents_own_refusal_is_final_only_when_its_policy_forbids_it() {
    let refusal = "internal error: unable to execute QEMU agent command 'guest-exec': Command guest-exec has been disabled";
    let error = listing_fails(&refusing(refusal)).await;
    assert_eq!(error.code, StatusCode::AdditionsFeatureNotAvail);
    assert!(error.message.contains("policy"), "{error}");
}

#[tokio::test]
async fn a_virsh_that_hangs_is_killed_at_the_deadline() {
    let (virsh, provider, id) = over("qemu-agent-command) echo $$ >$here/pid; exec sleep 600 ;;");
    provider.discover().await.expect("guests");
    let budget = Duration::from_millis(300);
    let error = provider.list_sessions(&id, Look::default(), budget).await.expect_err("too long");
    assert_eq!(error.code, StatusCode::TimedOut);
    let pid: i32 = virsh.written("pid").trim().parse().expect("it was run");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    let gone = async {
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BUDGET, gone).await.expect("killed");
}

#[tokio::test]
async fn an_agent_that_is_busy_is_asked_again_until_the_deadline() {
    let busy = "echo 'error: Guest agent is not responding: Guest agent not available for now' >&2; exit 1";
    let (virsh, provider, id) = over(&format!("qemu-agent-command) echo x >>$here/tries; {busy} ;;"));
    provider.discover().await.expect("guests");
    let error = provider.list_sessions(&id, Look::default(), Duration::from_secs(1)).await.expect_err("busy");
    assert_eq!(error.code, StatusCode::TimedOut);
    assert!(virsh.written("tries").lines().count() > 1, "{}", virsh.written("tries"));
}

#[tokio::test]
async fn endless_output_is_refused_and_its_writer_killed() {
    let error = listing_fails("qemu-agent-command) exec yes '{}' ;;").await;
    assert_eq!(error.code, StatusCode::Unexpected);
    let error = listing_fails("qemu-agent-command) yes '{}' >&2 ;;").await;
    assert_eq!(error.code, StatusCode::Unexpected);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let config = LibvirtConfig { virsh: "/nonexistent/virsh".into(), ..LibvirtConfig::default() };
    let provider = build(&config, &"h1".parse().expect("a host name")).expect("a provider").expect("one");
    let error = provider.discover().await.expect_err("no virsh");
    assert!(error.message.contains("/nonexistent/virsh"), "{error}");
}

#[tokio::test]
async fn nothing_of_a_session_becomes_part_of_a_script() {
    let (virsh, provider, id) = over(&printing("100.00 1.00\n"));
    let key = SessionKey { boot: "$(reboot)".into(), id: "3".into(), began_us: 17 };
    let how = EndMode::Graceful { attempt: 0 };
    provider.end_session(&id, &key, how, OnlyIf::default(), BUDGET).await.expect("asked");
    let sent = virsh.written("sent");
    let mut requests = sent.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let script = requests.rfind(|request| request["arguments"]["path"] == "/bin/sh").expect("a script");
    let argv = script["arguments"]["arg"].as_array().expect("arguments");
    assert_eq!(argv.iter().filter(|argument| argument.as_str() == Some("$(reboot)")).count(), 1);
    assert!(!argv[1].as_str().expect("the text").contains("$(reboot)"));
}
