//! Where text goes: the answer to standard output, everything else to standard error.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::render::Style;

/// The standard streams of a process, or what stands for them in a test.
pub struct Streams<'s> {
    /// Standard input.
    pub stdin: &'s mut dyn Read,
    /// Standard output.
    pub stdout: Channel<'s>,
    /// Standard error.
    pub stderr: Channel<'s>,
}

/// A stream that is written to.
pub struct Channel<'s> {
    /// The stream.
    pub writer: &'s mut dyn Write,
    /// Whether it ends at a terminal.
    pub terminal: bool,
    /// How many columns the terminal has, when that is known.
    pub columns: Option<usize>,
}

impl fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Channel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// The streams with the style of text on each.
pub(super) struct Output<'s> {
    streams: Streams<'s>,
    style: Style,
    error_style: Style,
    folder: Option<PathBuf>,
}

/// Who reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// It takes what is written.
    Reads,
    /// It has read enough.
    Gone,
}

impl<'s> Output<'s> {
    /// The streams, coloured as a function of whether they end at a terminal.
    pub(super) fn new(streams: Streams<'s>, color: impl Fn(bool) -> bool) -> Self {
        let style = |channel: &Channel<'_>| Style {
            color: color(channel.terminal),
            terminal: channel.terminal,
            width: width(channel),
        };
        Self {
            style: style(&streams.stdout),
            error_style: style(&streams.stderr),
            folder: None,
            streams,
        }
    }

    /// The same for a reader who is in this folder.
    pub(super) fn read_in(self, folder: Option<PathBuf>) -> Self {
        Self { folder, ..self }
    }

    pub(super) fn stdin(&mut self) -> &mut dyn Read {
        self.streams.stdin
    }

    /// The style of the answer.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// The folder from which the reader follows paths.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The style of everything else.
    pub(super) fn error_style(&self) -> Style {
        self.error_style
    }

    /// Writes the answer. A reader that has read enough is no failure.
    pub(super) fn answer(&mut self, text: &str) -> Result<Exit, ExpectedError> {
        self.answer_bytes(text.as_bytes())
    }

    pub(super) fn answer_bytes(&mut self, text: &[u8]) -> Result<Exit, ExpectedError> {
        self.write_answer(text).map(|_| Exit::Done)
    }

    /// Writes a part of an answer that goes on as long as somebody reads it.
    pub(super) fn answer_part(&mut self, text: &str) -> Result<Reader, ExpectedError> {
        self.write_answer(text.as_bytes())
    }

    fn write_answer(&mut self, text: &[u8]) -> Result<Reader, ExpectedError> {
        match write(self.streams.stdout.writer, text) {
            Ok(()) => Ok(Reader::Reads),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(ExpectedError::Output(error)),
        }
    }

    /// Writes to standard error. Nobody could be told that this fails.
    pub(super) fn tell(&mut self, text: &str) {
        _ = write(self.streams.stderr.writer, text.as_bytes());
    }
}

/// The width of text on a channel: that of the terminal, as far as lines can still be read.
fn width(channel: &Channel<'_>) -> usize {
    let columns = channel.columns.filter(|_| channel.terminal);
    columns.map_or(Style::WIDTH, |columns| columns.clamp(80, 120))
}

fn write(stream: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    stream.write_all(text)?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_as_wide_as_a_terminal_that_can_be_read() {
        let shown = |terminal, columns| {
            width(&Channel {
                writer: &mut io::sink(),
                terminal,
                columns,
            })
        };
        let terminals = [None, Some(40), Some(110), Some(300)].map(|c| shown(true, c));
        assert_eq!(terminals, [100, 80, 110, 120]);
        assert_eq!(shown(false, Some(40)), 100);
    }
}
