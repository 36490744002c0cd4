//! What is wrong with the command line is said before anything is asked.

use crate::program::curfew;

#[tokio::test]
async fn a_usage_error_exits_with_64_and_names_the_flag() {
    let said = curfew("/nowhere", &["logoff", "--all", "--task-timeout", "5"]).await;
    assert_eq!(said.exit, Some(64));
    assert_eq!(said.stdout, "");
    assert!(said.stderr.contains("'--task-timeout <TIME>'"), "{}", said.stderr);
    assert!(said.stderr.contains("for example 90s, 5m"), "{}", said.stderr);
}

#[tokio::test]
async fn a_logoff_of_nothing_in_particular_is_a_usage_error() {
    for args in [&["logoff", "--yes"][..], &["logoff", "--yes", "--exclude", "desk-1"]] {
        let said = curfew("/nowhere", args).await;
        assert_eq!(said.exit, Some(64));
        assert!(said.stderr.contains("--selector <SELECTOR>|--host <GLOB>"), "{}", said.stderr);
    }
}

#[tokio::test]
async fn help_and_version_are_answers() {
    for args in [&["--help"][..], &["logoff", "--help"], &["--version"]] {
        let said = curfew("/nowhere", args).await;
        assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
        assert!(!said.stdout.is_empty());
    }
}

#[tokio::test]
async fn completions_are_made_for_every_shell_without_a_controller() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let said = curfew("/nowhere", &["completions", shell]).await;
        assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
        assert!(said.stdout.contains("max-in-flight"), "{shell}");
    }
}

#[tokio::test]
async fn the_status_codes_are_printed_without_a_controller() {
    let said = curfew("/nowhere", &["status-codes", "-o", "name"]).await;
    assert_eq!(said.exit, Some(0));
    assert_eq!(said.stdout.lines().count(), 14);
    assert!(said.stdout.starts_with("S_OK\nDISP_E_EXCEPTION\n"), "{}", said.stdout);
}
