//! The program as an operator meets it: exit codes, and what it says of a configuration that cannot be used.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::process::{Command, Output};

/// Runs the program with this configuration file and nothing of this process's environment.
fn agent(config: &str, args: &[&str]) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew-agent"));
    let output = command.env_clear().arg("--config").arg(&file).args(args).output().unwrap();
    (output, file.display().to_string())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_unknown_key_ends_the_program_with_its_name_and_place() {
    let (output, file) = agent("controler = \"https://ctl\"\n", &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.starts_with(&format!("curfew-agent: the configuration file {file} cannot be used: ")),
        "{said}"
    );
    assert!(said.contains("line 1") && said.contains("unknown field `controler`"), "{said}");
}

#[test]
fn a_missing_field_is_said_in_one_line() {
    let (output, file) = agent("", &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = format!(
        "curfew-agent: controller is missing: set it in {file}, with --controller or with \
         CURFEW_AGENT_CONTROLLER; it is the controller's address, https://HOST:PORT\n"
    );
    assert_eq!(stderr(&output), said);
}

#[test]
fn credentials_that_cannot_be_read_are_named() {
    let config = "controller = \"https://ctl\"\nca = \"/nonexistent/ca.pem\"\n\
                  certificate = \"/nonexistent/cert.pem\"\nkey = \"/nonexistent/key.pem\"\n";
    let (output, _) = agent(config, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent/ca.pem"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_command_line_that_is_not_understood_has_an_exit_code_of_its_own() {
    let (output, _) = agent("", &["--controler", "x"]);
    assert_eq!(output.status.code(), Some(64));
    let (output, _) = agent("", &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("CURFEW_AGENT_DATA_DIR"));
}
