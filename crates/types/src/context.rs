//! The settings that text forms depend on.

use std::fmt;
use std::sync::Arc;

use ochre_base::{Error, Oid, Result};

use crate::datetime::TimeZone;
use crate::{Datum, SqlType};

/// First half of `DateStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum DateStyle {
    #[default]
    Iso,
    Postgres,
    Sql,
    German,
}

/// Second half of `DateStyle`: how ambiguous dates are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum DateOrder {
    Ymd,
    Dmy,
    #[default]
    Mdy,
}

/// `IntervalStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// `bytea_output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

/// What text forms ask of a session: names of catalog objects, for `regclass` and its like, and whether to go on with a
/// value that takes long.
pub trait ObjectNames: Send + Sync {
    /// The text of an object id of the given `reg…` type; `None` prints the number.
    fn print(&self, reg_type: Oid, object: Oid) -> Option<String>;

    /// The types of a row type's fields; `None` when they are not known.
    fn record_fields(&self, ty: SqlType) -> Option<Arc<[SqlType]>> {
        let _ = ty;
        None
    }

    /// The names of a row type's fields; `None` when they are not known.
    fn record_names(&self, ty: SqlType) -> Option<crate::FieldNames> {
        let _ = ty;
        None
    }

    /// A role's name; `None` when there is no such role.
    fn role_name(&self, role: Oid) -> Option<String> {
        let _ = role;
        None
    }

    /// The object that a text names.
    ///
    /// # Errors
    /// When nothing has that name, in the words of the `reg…` type's input function.
    fn parse(&self, reg_type: Oid, text: &str) -> Result<Oid>;

    /// Whether the statement may go on.
    ///
    /// # Errors
    /// 57014 when it was cancelled, 53200 when it has taken too much memory.
    fn check_interrupts(&self) -> Result<()> {
        Ok(())
    }
}

/// What text forms depend on: settings, the start of the transaction, and object names.
#[derive(Clone)]
pub struct FormatContext {
    pub date_style: DateStyle,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    pub time_zone: TimeZone,
    pub extra_float_digits: i32,
    pub bytea_output: ByteaOutput,
    /// Start of the transaction in microseconds since 2000-01-01 UTC: what `'now'` and `'today'` go by.
    pub now: i64,
    /// `None` where no catalog is at hand: `reg…` values are then plain numbers.
    pub names: Option<Arc<dyn ObjectNames>>,
}

impl Default for FormatContext {
    fn default() -> FormatContext {
        FormatContext {
            date_style: DateStyle::Iso,
            date_order: DateOrder::Mdy,
            interval_style: IntervalStyle::Postgres,
            time_zone: TimeZone::utc(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            now: 0,
            names: None,
        }
    }
}

impl FormatContext {
    /// Asked now and then while a large value is read or printed.
    ///
    /// # Errors
    /// Why the statement must not go on.
    pub fn check_interrupts(&self) -> Result<()> {
        self.names.as_ref().map_or(Ok(()), |session| session.check_interrupts())
    }
}

/// Bytes that are printed between two looks at whether to go on.
const PIECE_BYTES: usize = 1 << 16;
/// Bytes that are copied at once.
const COPIED_BYTES: usize = 1 << 20;

/// When somebody who prints, reads or changes what may be large looks at whether to go on: after every piece of some bytes.
/// Either tells how long his text has become ([`Pace::look`]), or how much he has passed ([`Pace::advance`]).
pub struct Pace<'a> {
    /// `None` where nobody is asked.
    context: Option<&'a FormatContext>,
    next: usize,
    passed: usize,
}

impl<'a> Pace<'a> {
    /// For a text that has `length` bytes now and is going to grow.
    pub fn from(context: &'a FormatContext, length: usize) -> Pace<'a> {
        Pace { context: Some(context), next: length + PIECE_BYTES, passed: length }
    }

    /// For a text that is printed to its end.
    pub const fn never() -> Pace<'static> {
        Pace { context: None, next: usize::MAX, passed: 0 }
    }

    /// Looks, if the text has grown by a piece since the last time.
    ///
    /// # Errors
    /// Why the statement must not go on.
    #[inline]
    pub fn look(&mut self, length: usize) -> Result<()> {
        if length < self.next { Ok(()) } else { self.look_now(length) }
    }

    /// Looks, if another piece has been passed with these bytes.
    ///
    /// # Errors
    /// As [`Pace::look`].
    #[inline]
    pub fn advance(&mut self, bytes: usize) -> Result<()> {
        self.passed = self.passed.saturating_add(bytes);
        self.look(self.passed)
    }

    /// Whether any piece of some bytes is `wanted`; looks after each piece that is no short one.
    ///
    /// # Errors
    /// As [`Pace::look`].
    pub fn any_piece(&self, bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<bool> {
        for piece in bytes.chunks(PIECE_BYTES) {
            if wanted(piece) {
                return Ok(true);
            }
            if piece.len() == PIECE_BYTES {
                self.context.map_or(Ok(()), FormatContext::check_interrupts)?;
            }
        }
        Ok(false)
    }

    /// Looks, whatever has been passed.
    ///
    /// # Errors
    /// As [`Pace::look`].
    pub fn look_at_once(&self) -> Result<()> {
        self.context.map_or(Ok(()), FormatContext::check_interrupts)
    }

    #[cold]
    fn look_now(&mut self, length: usize) -> Result<()> {
        self.next = length.saturating_add(PIECE_BYTES);
        self.context.map_or(Ok(()), FormatContext::check_interrupts)
    }

    /// Appends bytes as they are. A copy is quick, but not that of a value as long as they may be.
    ///
    /// # Errors
    /// As [`Pace::look`].
    #[inline]
    pub fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if bytes.len() <= COPIED_BYTES {
            out.extend_from_slice(bytes);
            return self.advance(bytes.len());
        }
        out.reserve(bytes.len());
        for piece in bytes.chunks(COPIED_BYTES) {
            out.extend_from_slice(piece);
            self.advance(piece.len())?;
        }
        Ok(())
    }

    /// Appends values.
    ///
    /// # Errors
    /// As [`Pace::look`].
    pub fn extend(&mut self, values: impl Iterator<Item = Datum>, out: &mut Vec<Datum>) -> Result<()> {
        for value in values {
            out.push(value);
            self.advance(size_of::<Datum>())?;
        }
        Ok(())
    }

    /// Appends bytes by pieces, each as `print` does it.
    ///
    /// # Errors
    /// As [`Pace::look`].
    pub fn pieces(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        print: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            print(piece, out);
            self.look(out.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for FormatContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormatContext")
            .field("date_style", &self.date_style)
            .field("time_zone", &self.time_zone)
            .finish_non_exhaustive()
    }
}

/// Shared by stubs of forms that do not exist.
pub(crate) fn unsupported_form(what: &str, type_name: &str) -> Error {
    Error::unsupported(format_args!("the {what} form of type {type_name}"))
}
