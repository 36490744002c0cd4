//! Tables in kubectl's style: fitted to the terminal's width, whole where nobody looks.
//!
//! Every cell is made safe here; a table never holds more than one page of rows in memory.

mod fit;

use crate::escape;
use crate::terminal::Terminal;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use std::io;

/// Between two columns, as kubectl has it.
const GAP: u16 = 3;
/// Rows drawn together, and so measured together: one page of the longest listing.
const ROWS_TOGETHER: usize = 1000;

/// What may happen to a column on a narrow terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Shown whole: ids are there to be copied.
    Whole,
    /// May be cut, with an ellipsis.
    Cut,
    /// May be cut, and is left out first; the last one goes first.
    Extra,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its header.
    pub title: &'static str,
    /// What may happen to it on a narrow terminal.
    pub fit: Fit,
    /// Its cells are numbers and stand to the right.
    pub is_number: bool,
}

impl Column {
    /// A column that is shown whole.
    pub const fn whole(title: &'static str) -> Column {
        Column { title, fit: Fit::Whole, is_number: false }
    }

    /// A column that may be cut.
    pub const fn cut(title: &'static str) -> Column {
        Column { title, fit: Fit::Cut, is_number: false }
    }

    /// A column that may be left out.
    pub const fn extra(title: &'static str) -> Column {
        Column { title, fit: Fit::Extra, is_number: false }
    }

    /// A column of numbers.
    pub const fn number(title: &'static str) -> Column {
        Column { title, fit: Fit::Whole, is_number: true }
    }
}

/// How a cell is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it comes.
    #[default]
    Plain,
    /// Well ended, connected, running.
    Good,
    /// In between.
    Busy,
    /// To be looked at.
    Bad,
}

/// One cell, its text made safe.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// With a tone.
    pub fn toned(text: &str, tone: Tone) -> Cell {
        Cell { text: if text.is_empty() { "-".into() } else { escape::visible(text).into_owned() }, tone }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::toned(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::from(text.as_str())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::from(number.to_string())
    }
}

/// A table being written.
#[derive(Debug)]
pub struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<Cell>>,
    /// How wide the columns of the rows written so far are; empty until the header is written.
    widths: Vec<u16>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &'static [Column]) -> Table {
        Table { columns, rows: Vec::new(), widths: Vec::new() }
    }

    /// Adds a row; writes a page when one is full.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn row(&mut self, terminal: &mut Terminal, row: Vec<Cell>) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() < ROWS_TOGETHER { Ok(()) } else { self.write(terminal) }
    }

    /// Writes the rows that came so far, before a page is full. What comes later may be wider.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn show_so_far(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        if self.rows.is_empty() { Ok(()) } else { self.write(terminal) }
    }

    /// Writes what is left. A table without rows has no header either.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn finish(mut self, terminal: &mut Terminal) -> io::Result<()> {
        self.show_so_far(terminal)
    }

    fn write(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        let facts = terminal.facts();
        let is_first = self.widths.is_empty();
        let rows = std::mem::take(&mut self.rows);
        let text = draw(self.columns, &rows, facts.width, facts.has_colors, &mut self.widths);
        let left_out = self.widths.iter().filter(|width| **width == 0).count();
        terminal.safe_data(&text)?;
        if is_first && left_out > 0 {
            let columns = if left_out == 1 { "1 column does" } else { &format!("{left_out} columns do") };
            terminal.note(&format!("({columns} not fit; -o yaml shows everything)"));
        }
        Ok(())
    }
}

/// Draws rows, with the header if `widths` is empty. `widths` keeps the columns in line from page to page, wider where a
/// later page needs it and there is room; a width of 0 is a column that is left out.
fn draw(
    columns: &[Column],
    rows: &[Vec<Cell>],
    limit: Option<u16>,
    has_colors: bool,
    widths: &mut Vec<u16>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).force_no_tty().style_text_only();
    if has_colors {
        table.enforce_styling();
    }
    let has_header = widths.is_empty();
    if has_header {
        table.set_header(columns.iter().map(|column| column.title));
    }
    for row in rows {
        let mut drawn = comfy_table::Row::from(row.iter().map(draw_cell).collect::<Vec<_>>());
        drawn.max_height(1);
        table.add_row(drawn);
    }
    let content = table.column_max_content_widths();
    *widths = match limit {
        None => {
            content.iter().enumerate().map(|(at, wide)| *wide.max(widths.get(at).unwrap_or(&1))).collect()
        }
        Some(limit) if has_header => fit::widths(columns, &content, limit),
        Some(limit) => fit::grown(widths, &content, limit),
    };
    // The layout is decided here; the library only cuts, pads and colours.
    table.set_content_arrangement(ContentArrangement::Disabled);
    let last = widths.iter().rposition(|width| *width > 0);
    for (at, column) in table.column_iter_mut().enumerate() {
        let gap = if Some(at) == last { 0 } else { GAP };
        column.set_padding((0, gap));
        column.set_constraint(match widths.get(at) {
            Some(0) | None => ColumnConstraint::Hidden,
            Some(width) => ColumnConstraint::Absolute(Width::Fixed(width.saturating_add(gap))),
        });
        if columns[at].is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn draw_cell(cell: &Cell) -> comfy_table::Cell {
    let drawn = comfy_table::Cell::new(&cell.text);
    match cell.tone {
        Tone::Plain => drawn,
        Tone::Good => drawn.fg(comfy_table::Color::DarkGreen),
        Tone::Busy => drawn.fg(comfy_table::Color::DarkYellow),
        Tone::Bad => drawn.fg(comfy_table::Color::DarkRed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Facts, testing};
    use unicode_width::UnicodeWidthStr as _;

    const COLUMNS: &[Column] = &[
        Column::whole("ID"),
        Column::cut("GUEST"),
        Column::number("SESSIONS"),
        Column::extra("HOST"),
        Column::extra("MESSAGE"),
    ];

    fn rows() -> Vec<Vec<Cell>> {
        let row = |id: &str, guest: &str, sessions: u64, message: &str| {
            vec![id.into(), guest.into(), sessions.into(), "host-07.lab.example".into(), message.into()]
        };
        vec![
            row("op-1/0", "desk-1", 3, ""),
            row("op-1/1", "山田太郎のデスクトップ", 12, "sessions that were asked to end are still there"),
        ]
    }

    fn drawn(width: Option<u16>) -> (String, String) {
        let facts = Facts { width, ..Facts::default() };
        let (mut terminal, out, err) = testing::terminal(facts, "");
        let mut table = Table::new(COLUMNS);
        for row in rows() {
            table.row(&mut terminal, row).expect("written");
        }
        table.finish(&mut terminal).expect("written");
        (out.text(), err.text())
    }

    #[test]
    fn a_table_fits_a_terminal_of_40_80_and_200_columns() {
        for width in [40, 80, 200] {
            let (text, _) = drawn(Some(width));
            for line in text.lines() {
                assert!(line.width() <= usize::from(width), "{} > {width}: {line}", line.width());
            }
            assert_eq!(text.lines().count(), 3, "no line wraps:\n{text}");
        }
    }

    #[test]
    fn at_40_columns_ids_stay_whole_and_what_is_left_out_is_said() {
        let (text, notes) = drawn(Some(40));
        insta::assert_snapshot!(text, @r#"
        ID       GUEST                  SESSIONS
        op-1/0   desk-1                        3
        op-1/1   山田太郎のデスクト…          12
        "#);
        assert_eq!(notes, "(2 columns do not fit; -o yaml shows everything)\n");
    }

    #[test]
    fn at_80_columns_long_texts_are_cut() {
        insta::assert_snapshot!(drawn(Some(80)).0, @r#"
        ID       GUEST                SESSIONS   HOST                 MESSAGE
        op-1/0   desk-1                      3   host-07.lab.examp…   -
        op-1/1   山田太郎のデスク…          12   host-07.lab.examp…   sessions that wer…
        "#);
    }

    #[test]
    fn where_nobody_looks_nothing_is_cut() {
        insta::assert_snapshot!(drawn(None).0, @r#"
        ID       GUEST                    SESSIONS   HOST                  MESSAGE
        op-1/0   desk-1                          3   host-07.lab.example   -
        op-1/1   山田太郎のデスクトップ         12   host-07.lab.example   sessions that were asked to end are still there
        "#);
    }

    #[test]
    fn hostile_text_cannot_colour_or_break_a_row() {
        let (mut terminal, out, _) = testing::terminal(Facts::default(), "");
        const COLUMNS: &[Column] = &[Column::whole("USER"), Column::whole("STATE")];
        let mut table = Table::new(COLUMNS);
        table.row(&mut terminal, vec!["\u{1b}[31mroot\nop-9".into(), "x".into()]).expect("written");
        table.finish(&mut terminal).expect("written");
        assert_eq!(out.text(), "USER                   STATE\n\\u{1b}[31mroot\\nop-9   x\n");
    }

    #[test]
    fn colours_are_used_only_where_they_are_wanted() {
        let row = vec![Cell::toned("failed", Tone::Bad)];
        let columns = [Column::whole("OUTCOME")];
        let plain = draw(&columns, std::slice::from_ref(&row), None, false, &mut Vec::new());
        assert!(!plain.contains('\u{1b}'));
        let coloured = draw(&columns, &[row], None, true, &mut Vec::new());
        assert!(coloured.contains('\u{1b}'));
    }

    #[test]
    fn ten_thousand_rows_stay_in_line_from_page_to_page() {
        let (mut terminal, out, _) = testing::terminal(Facts { width: Some(80), ..Facts::default() }, "");
        const COLUMNS: &[Column] = &[Column::whole("ID"), Column::cut("GUEST")];
        let mut table = Table::new(COLUMNS);
        for number in 10_000..20_000 {
            table.row(&mut terminal, vec![format!("op-1/{number}").into(), "g".into()]).expect("written");
        }
        table.finish(&mut terminal).expect("written");
        let text = out.text();
        assert_eq!(text.lines().count(), 10_001);
        assert!(text.lines().skip(1).all(|line| line.ends_with("   g") && line.len() == 14));
    }
}
