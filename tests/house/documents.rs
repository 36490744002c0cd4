//! What the documents say is so: tables that come from the code, comments of the protos, paths.

use crate::checkout::{between_markers, keys, quoted, root, text};
use anyhow::{Context as _, ensure};
use curfew_agent::kill_point::KillPoint as AgentPoint;
use curfew_cli::exit::Exit;
use curfew_controller::kill_point::KillPoint as ControllerPoint;
use curfew_types::StatusCode;

const DOCUMENTS: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

#[test]
fn the_readme_has_the_codes_as_the_code_has_them() -> anyhow::Result<()> {
    let (published, real) = (between_markers("README.md", "status-codes")?, StatusCode::markdown_table());
    ensure!(published == real, "README.md must have this table between its markers:\n{real}");
    Ok(())
}

#[test]
fn the_proto_reference_names_every_code_with_its_value() -> anyhow::Result<()> {
    let proto = text("proto/curfew/v1/status.proto")?;
    let lines: Vec<&str> = proto.lines().map(str::trim).collect();
    let documented = lines.windows(2).filter(|pair| pair[1].starts_with("STATUS_CODE_"));
    // The first is STATUS_CODE_UNSPECIFIED, which no code goes with.
    let documented: Vec<_> = documented.skip(1).collect();
    ensure!(documented.len() == StatusCode::ALL.len(), "{documented:#?}");
    for (pair, code) in documented.iter().zip(StatusCode::ALL) {
        let comment = format!("// {}, 0x{:08X}: ", code.name(), code.value());
        ensure!(pair[0].starts_with(&comment), "{} must be commented as {comment:?}", pair[1]);
    }
    Ok(())
}

#[test]
fn the_readme_has_every_exit_code() -> anyhow::Result<()> {
    let table = between_markers("README.md", "exit-codes")?;
    let documented = keys(&table);
    let real =
        [Exit::Well, Exit::NotWell, Exit::NotAsked, Exit::AwaitingApproval, Exit::Usage, Exit::Detached];
    ensure!(documented == real.map(|exit| exit.code().to_string()), "{documented:?}");
    Ok(())
}

#[test]
fn the_architecture_names_every_kill_point() -> anyhow::Result<()> {
    let table = between_markers("ARCHITECTURE.md", "kill-points")?;
    let documented = keys(&table);
    let controller = ControllerPoint::ALL.iter().map(|point| format!("controller:{}", point.name()));
    let agent = AgentPoint::ALL.iter().map(|point| format!("agent:{}", point.name()));
    let real: Vec<String> = controller.chain(agent).collect();
    ensure!(documented == real, "the table has {documented:#?}, the code has {real:#?}");
    Ok(())
}

#[test]
fn every_path_that_a_document_names_is_there() -> anyhow::Result<()> {
    let entries = std::fs::read_dir(root())?.collect::<Result<Vec<_>, _>>()?;
    let top: Vec<String> = entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    for document in DOCUMENTS {
        let text = text(document)?;
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let in_words = quoted(&text).filter(|name| {
            name.split_once('/').is_some_and(|(first, _)| top.iter().any(|entry| entry == first))
        });
        for name in links.filter(|link| !link.contains("://") && !link.starts_with('#')).chain(in_words) {
            // A command's arguments are not part of its path, and some paths stand for files to come.
            let path = name.split(' ').next().context("a name")?;
            if !path.contains("NAME") {
                ensure!(root().join(path).exists(), "{document} names {path}, which is not there");
            }
        }
    }
    Ok(())
}
