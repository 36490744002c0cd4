//! Writes what was found as a table, JSON, YAML or names: one document, streamed item by item.
//!
//! Lists of any length pass through without being held.

use crate::escape;
use crate::table::{Cell, Column, Table};
use crate::terminal::Terminal;
use crate::words;
use serde::Serialize;
use std::io;

/// The form of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document, in protobuf's JSON form.
    Json,
    /// One YAML document of the same shape.
    Yaml,
    /// Ids only, one a line.
    Name,
}

/// What can stand in a list.
pub trait Listed: Serialize {
    /// The key of the list in a document.
    const KEY: &'static str;
    /// The columns of the table.
    const COLUMNS: &'static [Column];
    /// Its rows in the table; ages are counted to `now`.
    fn rows(&self, now: i64) -> Vec<Vec<Cell>>;
    /// Its ids.
    fn names(&self) -> Vec<String>;
}

/// What can be shown by itself.
pub trait Shown: Serialize {
    /// Its id.
    fn name(&self) -> String;
    /// What is to be said of it, in order; what is empty is left out.
    fn facts(&self) -> Vec<(&'static str, String)>;
}

/// A list being written.
#[derive(Debug)]
pub struct List<T> {
    format: Format,
    table: Table,
    now: i64,
    count: u64,
    item: std::marker::PhantomData<T>,
}

impl<T: Listed> List<T> {
    /// An empty list.
    pub fn new(format: Format) -> List<T> {
        let item = std::marker::PhantomData;
        List { format, table: Table::new(T::COLUMNS), now: words::now(), count: 0, item }
    }

    /// How many items it has so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes the next item.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn item(&mut self, terminal: &mut Terminal, item: &T) -> io::Result<()> {
        self.begin(terminal)?;
        let is_first = self.count == 0;
        self.count += 1;
        match self.format {
            Format::Table => {
                item.rows(self.now).into_iter().try_for_each(|row| self.table.row(terminal, row))
            }
            Format::Json => {
                let separator = if is_first { "" } else { ",\n" };
                let text = json(item)?.replace('\n', "\n    ");
                terminal.safe_data(&format!("{separator}    {text}"))
            }
            Format::Yaml => terminal.safe_data(&yaml_item(item)?),
            Format::Name => item.names().iter().try_for_each(|name| terminal.data(name)),
        }
    }

    /// Shows what came so far, for a person who waits for the rest.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn show_so_far(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        self.table.show_so_far(terminal)?;
        terminal.flush()
    }

    /// Ends the document. An empty table is nothing on the data side; the caller says so beside it.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn finish(self, terminal: &mut Terminal) -> io::Result<()> {
        let key = T::KEY;
        match (self.format, self.count) {
            (Format::Table, _) => self.table.finish(terminal),
            (Format::Json, 0) => terminal.safe_data(&format!("{{\n  \"{key}\": []\n}}\n")),
            (Format::Json, _) => terminal.safe_data("\n  ]\n}\n"),
            (Format::Yaml, 0) => terminal.safe_data(&format!("{key}: []\n")),
            (Format::Yaml | Format::Name, _) => Ok(()),
        }
    }

    fn begin(&self, terminal: &mut Terminal) -> io::Result<()> {
        let key = T::KEY;
        match (self.format, self.count) {
            (Format::Json, 0) => terminal.safe_data(&format!("{{\n  \"{key}\": [\n")),
            (Format::Yaml, 0) => terminal.safe_data(&format!("{key}:\n")),
            (Format::Table | Format::Json | Format::Yaml | Format::Name, _) => Ok(()),
        }
    }
}

/// Writes one thing by itself.
///
/// # Errors
/// When data cannot be written.
pub fn show<T: Shown>(terminal: &mut Terminal, format: Format, item: &T) -> io::Result<()> {
    match format {
        Format::Table => facts(terminal, &item.facts()),
        Format::Json | Format::Yaml => document(terminal, format, item),
        Format::Name => terminal.data(&item.name()),
    }
}

/// Writes one document; a table or names have no form for it, and it becomes JSON.
///
/// # Errors
/// When data cannot be written.
pub fn document(terminal: &mut Terminal, format: Format, value: &impl Serialize) -> io::Result<()> {
    match format {
        Format::Yaml => terminal.safe_data(&yaml(value)?),
        Format::Table | Format::Json | Format::Name => terminal.safe_data(&format!("{}\n", json(value)?)),
    }
}

/// Writes facts, one a line, as kubectl describes things.
///
/// # Errors
/// When data cannot be written.
pub fn facts(terminal: &mut Terminal, facts: &[(&'static str, String)]) -> io::Result<()> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        terminal.data(&format!("{:<width$}  {value}", format!("{name}:")))?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(escape::json(serde_json::to_string_pretty(value)?))
}

fn yaml(value: &impl Serialize) -> io::Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(value, options).map_err(io::Error::other)?;
    match escape::has_hostile(&text) {
        false => Ok(text),
        // JSON is YAML, and its strings have escapes for everything.
        true => Ok(format!("{}\n", escape::json_in_yaml(&serde_json::to_string(value)?))),
    }
}

fn yaml_item<T: Serialize>(item: &T) -> io::Result<String> {
    let text = yaml(&[item])?;
    let inner = text.strip_prefix('[').and_then(|rest| rest.trim_end().strip_suffix(']'));
    Ok(inner.map_or_else(|| text.clone(), |inner| format!("- {inner}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Facts, testing};

    #[derive(Serialize)]
    struct Thing {
        id: String,
        user: String,
        tags: Vec<String>,
    }

    impl Listed for Thing {
        const KEY: &'static str = "things";
        const COLUMNS: &'static [Column] = &[Column::whole("ID"), Column::cut("USER")];
        fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
            vec![vec![self.id.as_str().into(), self.user.as_str().into()]]
        }
        fn names(&self) -> Vec<String> {
            vec![self.id.clone()]
        }
    }

    fn thing(id: &str, user: &str) -> Thing {
        Thing { id: id.into(), user: user.into(), tags: vec!["x: y".into()] }
    }

    fn listed(format: Format, things: &[Thing]) -> String {
        let (mut terminal, out, _) = testing::terminal(Facts::default(), "");
        let mut list = List::new(format);
        for thing in things {
            list.item(&mut terminal, thing).expect("written");
        }
        list.finish(&mut terminal).expect("written");
        out.text()
    }

    #[test]
    fn a_json_list_is_one_document_of_any_length() {
        let two = listed(Format::Json, &[thing("a", "no"), thing("b", "x\u{1b}\u{9b}y")]);
        insta::assert_snapshot!(two, @r#"
        {
          "things": [
            {
              "id": "a",
              "user": "no",
              "tags": [
                "x: y"
              ]
            },
            {
              "id": "b",
              "user": "x\u001b\u009by",
              "tags": [
                "x: y"
              ]
            }
          ]
        }
        "#);
        let parsed: serde_json::Value = serde_json::from_str(&two).expect("it parses");
        assert_eq!(parsed["things"][1]["user"], "x\u{1b}\u{9b}y");
        assert_eq!(listed(Format::Json, &[]), "{\n  \"things\": []\n}\n");
    }

    #[test]
    fn a_yaml_list_quotes_what_would_read_as_something_else() {
        let things = [thing("no", "1e3"), thing("~", "a: b\nc"), thing("x", "\u{202e}\u{9b}\u{e0041}")];
        let text = listed(Format::Yaml, &things);
        insta::assert_snapshot!(text, @r#"
        things:
        - id: "no"
          user: "1e3"
          tags:
          - "x: y"
        - id: "~"
          user: "a: b\nc"
          tags:
          - "x: y"
        - {"id":"x","user":"\U0000202e\U0000009b\U000e0041","tags":["x: y"]}
        "#);
        assert!(!escape::has_hostile(&text));
        let parsed: serde_json::Value = serde_saphyr::from_str(&text).expect("it parses");
        for (at, thing) in things.iter().enumerate() {
            assert_eq!(parsed["things"][at]["id"], thing.id.as_str());
            assert_eq!(parsed["things"][at]["user"], thing.user.as_str());
        }
        assert_eq!(listed(Format::Yaml, &[]), "things: []\n");
    }

    #[test]
    fn names_are_one_a_line_and_an_empty_table_is_nothing() {
        assert_eq!(listed(Format::Name, &[thing("a", ""), thing("b", "")]), "a\nb\n");
        assert_eq!(listed(Format::Table, &[]), "");
    }
}
