//! What holds for every file that git tracks.

use crate::checkout::{root, text, tracked};
use anyhow::ensure;
use std::path::Path;

/// Where addresses in the text may point to, beside made-up ones.
const PUBLIC_HOSTS: [&str; 3] = [
    // Of the licence.
    "www.apache.org",
    // crates.io's index, as lock files write it.
    "github.com",
    // No host but a name: of the XML in which Windows takes its scheduled tasks.
    "schemas.microsoft.com",
];

/// Folders that only build machines have. Split, so that this file does not name them.
const BUILD_FOLDERS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/bui", "lds/"),
    concat!("/works", "pace/"),
    concat!("/.car", "go/registry"),
];

#[test]
fn every_source_file_begins_with_what_it_owns() -> anyhow::Result<()> {
    for file in tracked()?.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        ensure!(text(file)?.starts_with("//! "), "{} does not begin with a `//!` comment", file.display());
    }
    Ok(())
}

#[test]
fn no_file_names_the_machine_it_was_written_on() -> anyhow::Result<()> {
    let here = format!("{}/", root().display());
    each_line(|file, number, line| {
        let named = BUILD_FOLDERS.iter().copied().chain([here.as_str()]).find(|folder| line.contains(folder));
        ensure!(named.is_none(), "{}:{number} names a folder of one machine: {line}", file.display());
        Ok(())
    })
}

#[test]
fn no_file_names_a_host_but_made_up_ones() -> anyhow::Result<()> {
    each_line(|file, number, line| {
        let addresses = line.split("http").skip(1);
        let addresses =
            addresses.filter_map(|rest| rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://"));
        for address in addresses {
            let end = address.find(|c: char| !c.is_ascii_alphanumeric() && !['.', '-'].contains(&c));
            let host = address[..end.unwrap_or(address.len())].trim_end_matches('.');
            let fine = is_made_up(host) || PUBLIC_HOSTS.contains(&host);
            ensure!(fine, "{}:{number} names the host {host}: {line}", file.display());
        }
        Ok(())
    })
}

/// Whether a host's name is one that stands for any: a single word, a loopback address, or under `.example`.
fn is_made_up(host: &str) -> bool {
    !host.contains('.') || host.starts_with("127.") || host.ends_with(".example")
}

/// Looks at every line of every tracked file that is text.
fn each_line(mut look: impl FnMut(&Path, usize, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for file in tracked()? {
        let Ok(text) = String::from_utf8(std::fs::read(root().join(&file))?) else { continue };
        for (number, line) in text.lines().enumerate() {
            look(&file, number + 1, line)?;
        }
    }
    Ok(())
}
