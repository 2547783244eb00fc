//! The body of an answer: so many bytes, chunks, or all that comes until the connection ends (RFC
//! 9112, sections 6 and 7).

use super::ResponseError;

/// Most bytes of the extensions of one chunk, and of all trailers. Both are read over.
pub const ASIDE_BYTES_MAX: usize = 8 << 10;

/// Most digits of a chunk's size: those of the largest number of 60 bits.
const SIZE_DIGITS_MAX: u8 = 15;

/// What is to come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All that comes.
    Rest,
    /// So many bytes, and then nothing.
    Length(u64),
    /// A chunk's size, of which this was read.
    Size { size: u64, digits: u8 },
    /// Blanks after a chunk's size.
    Blank { size: u64 },
    /// A chunk's extensions.
    Extension { size: u64 },
    /// The LF after a chunk's size.
    SizeEnd { size: u64 },
    /// So many bytes of a chunk.
    Chunk(u64),
    /// CR after a chunk.
    ChunkCr,
    /// LF after that.
    ChunkLf,
    /// A trailer, or the end.
    Trailer,
    /// The rest of a trailer.
    TrailerLine,
    /// LF after a trailer.
    TrailerLf,
    /// LF of the blank line at the end.
    LastLf,
    /// Nothing.
    Done,
}

/// Reads a body, however it is cut. What is given out is borrowed, never copied.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    /// Bytes of the present chunk's extensions, or of the trailers.
    aside: usize,
}

impl BodyReader {
    const fn new(state: State) -> Self {
        Self { state, aside: 0 }
    }

    /// A body of so many bytes.
    #[must_use]
    pub const fn length(bytes: u64) -> Self {
        Self::new(if bytes == 0 { State::Done } else { State::Length(bytes) })
    }

    /// A body in chunks.
    #[must_use]
    pub const fn chunked() -> Self {
        Self::new(State::Size { size: 0, digits: 0 })
    }

    /// A body that ends with its connection.
    #[must_use]
    pub const fn rest() -> Self {
        Self::new(State::Rest)
    }

    /// Takes what the body goes on with from the front of `bytes`; `None` if there is nothing of it
    /// in them, because more has to come first or because it has come to its end.
    ///
    /// # Errors
    /// When the chunks are none. What was given out before is the body's.
    pub fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ResponseError> {
        loop {
            let left = match self.state {
                State::Done => return Ok(None),
                State::Rest => u64::MAX,
                State::Length(left) | State::Chunk(left) => left,
                state => {
                    let Some((&byte, rest)) = bytes.split_first() else { return Ok(None) };
                    self.state = self.step(state, byte)?;
                    *bytes = rest;
                    continue;
                }
            };
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            if count == 0 {
                return Ok(None);
            }
            let (piece, rest) = bytes.split_at(count);
            *bytes = rest;
            let left = left - count as u64;
            self.state = match self.state {
                State::Length(_) if left == 0 => State::Done,
                State::Length(_) => State::Length(left),
                State::Chunk(_) if left == 0 => State::ChunkCr,
                State::Chunk(_) => State::Chunk(left),
                state => state,
            };
            return Ok(Some(piece));
        }
    }

    /// Whether the body has come to its end, whatever follows on the connection.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection has ended, and with it the body.
    ///
    /// # Errors
    /// [`ResponseError::Cut`] if there is more to come.
    pub fn cut(&mut self) -> Result<(), ResponseError> {
        if !matches!(self.state, State::Done | State::Rest) {
            return Err(ResponseError::Cut);
        }
        self.state = State::Done;
        Ok(())
    }

    /// Whether the body ends with its connection.
    #[must_use]
    pub fn takes_the_rest(&self) -> bool {
        self.state == State::Rest
    }

    /// What follows a byte between chunks. Line ends are CRLF and nothing else: whoever takes a
    /// lone LF for one sees other chunks.
    fn step(&mut self, state: State, byte: u8) -> Result<State, ResponseError> {
        let bad_size = Err(ResponseError::ChunkSize);
        Ok(match (state, byte) {
            (State::Size { size, digits }, _) => match char::from(byte).to_digit(16) {
                Some(_) if digits == SIZE_DIGITS_MAX => return bad_size,
                Some(digit) => {
                    State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
                }
                None if digits == 0 => return bad_size,
                None => return self.step(State::Blank { size }, byte),
            },
            (State::Blank { size }, b'\r') | (State::Extension { size }, b'\r') => {
                State::SizeEnd { size }
            }
            (State::Blank { size }, b' ' | b'\t') => self.aside(State::Blank { size })?,
            (State::Blank { size }, b';') => self.aside(State::Extension { size })?,
            (State::Extension { .. }, b'\n') | (State::Blank { .. }, _) => return bad_size,
            (State::Extension { size }, _) => self.aside(State::Extension { size })?,
            (State::SizeEnd { size }, b'\n') => {
                self.aside = 0;
                if size == 0 { State::Trailer } else { State::Chunk(size) }
            }
            (State::SizeEnd { .. }, _) => return bad_size,
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::Size { size: 0, digits: 0 },
            (State::ChunkCr | State::ChunkLf, _) => return Err(ResponseError::ChunkEnd),
            (State::Trailer, b'\r') => State::LastLf,
            (State::TrailerLine, b'\r') => State::TrailerLf,
            (State::LastLf, b'\n') => State::Done,
            (State::TrailerLf, b'\n') => State::Trailer,
            (State::LastLf | State::TrailerLf, _) | (_, b'\n') => {
                return Err(ResponseError::Trailers);
            }
            _ => self.aside(State::TrailerLine)?,
        })
    }

    /// Counts a byte that is read over.
    fn aside(&mut self, next: State) -> Result<State, ResponseError> {
        self.aside += 1;
        if self.aside > ASIDE_BYTES_MAX { Err(ResponseError::AsideTooLong) } else { Ok(next) }
    }
}
