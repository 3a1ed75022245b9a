//! Where a statement's results go.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_sql::physical::OutputColumn;
use ochre_types::{Batch, FormatContext, print_text_at};

use crate::tag::CommandTag;

/// Receives what a statement yields, in the order in which a client gets it. The server encodes it into its write
/// buffer, the library collects it. What a receiver leaves out is of no interest to it.
pub trait Sink {
    /// The shape of the rows that follow. In the extended protocol it is sent by Describe and not here.
    ///
    /// # Errors
    /// When the client is gone.
    fn row_shape(&mut self, columns: &Arc<[OutputColumn]>) -> Result<()>;

    /// Rows that follow go in binary form although the simple protocol asks for text (a BINARY cursor's), or no longer.
    fn binary_rows(&mut self, _binary: bool) {}

    /// Rows; only the first `columns` columns are the client's.
    ///
    /// # Errors
    /// When a value has no text form, or the client is gone.
    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()>;

    /// The end of a command.
    fn complete(&mut self, tag: CommandTag);

    /// A statement that was empty.
    fn empty(&mut self) {}

    /// A notice or warning.
    fn notice(&mut self, _notice: &Error) {}

    /// A setting that clients follow has changed.
    fn setting(&mut self, _name: &str, _value: &str) {}

    /// COPY … FROM STDIN begins: rows of that many columns are wanted.
    fn copy_in(&mut self, _columns: usize) {}

    /// COPY … TO STDOUT begins.
    fn copy_out(&mut self, _columns: usize) {}

    /// One row of COPY … TO STDOUT, its line's end included, or the header.
    ///
    /// # Errors
    /// When the client is gone.
    fn copy_data(&mut self, data: &[u8]) -> Result<()>;

    /// COPY … TO STDOUT ends.
    fn copy_out_done(&mut self) {}
}

/// Throws everything away.
#[derive(Debug, Default)]
pub struct NullSink;

impl Sink for NullSink {
    fn row_shape(&mut self, _columns: &Arc<[OutputColumn]>) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, _batch: &Batch, _columns: &[OutputColumn], _format: &FormatContext) -> Result<()> {
        Ok(())
    }

    fn complete(&mut self, _tag: CommandTag) {}

    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// The text forms of a row's values, `None` for NULL.
///
/// # Errors
/// Those of [`FormatContext::check_interrupts`] within a large value.
pub fn text_row(
    batch: &Batch,
    row: usize,
    columns: &[OutputColumn],
    format: &FormatContext,
) -> Result<Vec<Option<String>>> {
    let texts = columns.iter().zip(&batch.columns).map(|(column, values)| {
        if values.is_null(row) {
            return Ok(None);
        }
        let mut text = Vec::new();
        print_text_at(column.ty, values, row, format, &mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    });
    texts.collect()
}
