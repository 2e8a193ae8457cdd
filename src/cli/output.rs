//! Standard output that survives a reader who leaves early.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

/// Buffered standard output. After the pipe broke, everything written is dropped.
pub struct Output {
    stdout: BufWriter<Stdout>,
    closed: bool,
    /// Whether to use colours.
    pub colour: bool,
}

impl Output {
    /// Standard output.
    pub fn stdout() -> Output {
        let stdout = io::stdout();
        let colour = wants_colour(stdout.is_terminal());
        Output { stdout: BufWriter::new(stdout), closed: false, colour }
    }

    fn tolerate<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.stdout.write(bytes);
        self.tolerate(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.stdout.flush();
        self.tolerate(result, ())
    }
}

/// Whether colours are wanted on a stream that is a terminal or not.
pub fn wants_colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
