//! Owns the three standard streams: data goes to one, everything else to the other, and text of others is made
//! safe on its way. Nothing else in the program may print or read.

use crate::escape;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::io::{self, BufRead, BufWriter, IsTerminal as _, Write};

/// What is known of the streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Somebody can answer.
    pub stdin_is_terminal: bool,
    /// Data is read by a person.
    pub stdout_is_terminal: bool,
    /// Notes are read by a person.
    pub stderr_is_terminal: bool,
    /// Columns, where data goes to a terminal.
    pub width: Option<u16>,
    /// Data may be coloured.
    pub has_colors: bool,
}

/// Whether colours are not wanted, or the terminal has none.
pub fn is_plain_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || console::is_dumb()
}

/// The streams of the process, or of a test.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    facts: Facts,
    /// While it is shown; notes step around it.
    bar: Option<ProgressBar>,
    /// Whoever read the data went away: `| head`.
    is_reader_gone: bool,
}

impl Terminal {
    /// The streams of this process.
    pub fn system() -> Terminal {
        let stdout = console::Term::stdout();
        let is_dumb = console::is_dumb();
        let stdout_is_terminal = io::stdout().is_terminal();
        let facts = Facts {
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout_is_terminal,
            stderr_is_terminal: io::stderr().is_terminal() && !is_dumb,
            width: stdout_is_terminal.then(|| stdout.size_checked()).flatten().map(|(_, columns)| columns),
            has_colors: stdout_is_terminal && !is_plain_wanted(),
        };
        Terminal::new(BufWriter::new(io::stdout()), io::stderr(), io::BufReader::new(io::stdin()), facts)
    }

    /// Any streams.
    pub fn new(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        input: impl BufRead + Send + 'static,
        facts: Facts,
    ) -> Terminal {
        let (out, err, input) = (Box::new(out), Box::new(err), Box::new(input));
        Terminal { out, err, input, facts, bar: None, is_reader_gone: false }
    }

    /// What is known of the streams.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Whether nobody reads the data any more: no use in fetching more of it.
    pub fn is_reader_gone(&self) -> bool {
        self.is_reader_gone
    }

    /// Writes one line of data, made safe.
    ///
    /// # Errors
    /// When it cannot be written, except that nobody reads it any more.
    pub fn data(&mut self, line: &str) -> io::Result<()> {
        let line = escape::visible(line);
        self.write_data(&format!("{line}\n"))
    }

    /// Writes data that has been made safe already: documents, and tables with colours of our own.
    ///
    /// # Errors
    /// When it cannot be written, except that nobody reads it any more.
    pub fn safe_data(&mut self, text: &str) -> io::Result<()> {
        self.write_data(text)
    }

    /// Writes one line beside the data, made safe. Where that is impossible there is nowhere to say so.
    pub fn note(&mut self, line: &str) {
        let line = escape::visible(line);
        let _ = self.flush();
        let err = &mut self.err;
        let mut write = || {
            let _ = writeln!(err, "{line}").and_then(|()| err.flush());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Writes text of our own beside the data as it is, for example the parser's coloured usage.
    pub fn safe_note(&mut self, text: &str) {
        let _ = self.flush();
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }

    /// Asks a question that only `y` or `yes` answers with yes. Without a terminal nobody can answer: it is no.
    ///
    /// # Errors
    /// When the answer cannot be read.
    pub fn ask(&mut self, question: &str) -> io::Result<bool> {
        if !self.facts.stdin_is_terminal {
            return Ok(false);
        }
        self.flush()?;
        write!(self.err, "{} [y/N] ", escape::visible(question))?;
        self.err.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Shows a progress bar beside the data until [`Terminal::end_bar`], if a person looks.
    pub fn begin_bar(&mut self, length: u64) -> Option<ProgressBar> {
        if !self.facts.stderr_is_terminal {
            return None;
        }
        // Ten pictures a second are smooth, and cheap over a slow line.
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(length), target);
        self.bar = Some(bar.clone());
        Some(bar)
    }

    /// Takes the progress bar away.
    pub fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes out what is held back.
    ///
    /// # Errors
    /// When it cannot be written, except that nobody reads it any more.
    pub fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.unless_gone(result)
    }

    fn write_data(&mut self, text: &str) -> io::Result<()> {
        if self.is_reader_gone {
            return Ok(());
        }
        let result = self.out.write_all(text.as_bytes());
        self.unless_gone(result)?;
        if self.facts.stdout_is_terminal { self.flush() } else { Ok(()) }
    }

    fn unless_gone(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_reader_gone = true;
                Ok(())
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("cannot write the data: {error}"))),
            Ok(()) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end_bar();
        let _ = self.flush();
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A buffer that can be read while a terminal writes to it.
    #[derive(Clone, Default)]
    pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A terminal of two buffers, data and notes.
    pub(crate) fn terminal(facts: Facts, input: &'static str) -> (Terminal, Buffer, Buffer) {
        let (out, err) = (Buffer::default(), Buffer::default());
        (Terminal::new(out.clone(), err.clone(), io::Cursor::new(input), facts), out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_not_an_error() {
        let mut terminal = Terminal::new(Gone, io::sink(), io::empty(), Facts::default());
        terminal.data("one").expect("quiet");
        assert!(terminal.is_reader_gone());
        terminal.data("two").expect("still quiet");
    }

    #[test]
    fn text_of_others_is_made_safe_on_both_streams() {
        let (mut terminal, out, err) = testing::terminal(Facts::default(), "");
        terminal.data("a\u{1b}[2Jb").expect("written");
        terminal.note("c\nerror: forged");
        assert_eq!(out.text(), "a\\u{1b}[2Jb\n");
        assert_eq!(err.text(), "c\\nerror: forged\n");
    }

    #[test]
    fn only_a_typed_yes_is_a_yes() {
        let person = Facts { stdin_is_terminal: true, ..Facts::default() };
        for (typed, answer) in
            [("y\n", true), (" YES \n", true), ("\n", false), ("", false), ("yep\n", false)]
        {
            let (mut terminal, _, err) = testing::terminal(person, typed);
            assert_eq!(terminal.ask("Go?").expect("answered"), answer);
            assert_eq!(err.text(), "Go? [y/N] ");
        }
        let (mut terminal, _, _) = testing::terminal(Facts::default(), "y\n");
        assert!(!terminal.ask("Go?").expect("answered"), "a pipe cannot answer");
    }
}
