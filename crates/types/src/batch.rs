//! Up to 2,048 rows as columns.

use std::sync::Arc;

use ochre_base::limits::BATCH_ROWS;

use crate::{Column, Datum, Selection};

/// Rows as columns, with the active ones selected. Unselected positions hold unspecified but initialised values.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Each of `rows` rows.
    pub columns: Vec<Arc<Column>>,
    /// Rows, active or not.
    pub rows: usize,
    /// The active rows; `None` when all are.
    pub selection: Option<Selection>,
}

impl Batch {
    /// A batch with all rows active.
    ///
    /// # Panics
    /// When a column has another number of rows or there are more than [`BATCH_ROWS`].
    pub fn new(columns: Vec<Arc<Column>>, rows: usize) -> Batch {
        assert!(rows <= BATCH_ROWS, "{rows} rows in a batch");
        assert!(columns.iter().all(|column| column.len() == rows), "columns of one batch have {rows} rows");
        Batch { columns, rows, selection: None }
    }

    /// The same rows, of which only those selected are active.
    #[must_use]
    pub fn with_selection(mut self, selection: Selection) -> Batch {
        self.selection = Some(selection);
        self
    }

    /// How many rows are active.
    pub fn active_rows(&self) -> usize {
        self.selection.as_ref().map_or(self.rows, Selection::len)
    }

    /// Whether no row is active.
    pub fn is_empty(&self) -> bool {
        self.active_rows() == 0
    }

    /// Positions of the active rows, ascending.
    pub fn active(&self) -> ActiveRows<'_> {
        match &self.selection {
            None => ActiveRows::All(0..self.rows),
            Some(selection) => ActiveRows::Some(selection.positions().iter()),
        }
    }

    /// The active rows only, with no selection.
    #[must_use]
    pub fn compact(self) -> Batch {
        match &self.selection {
            None => self,
            Some(selection) => Batch {
                columns: self.columns.iter().map(|column| Arc::new(column.select(selection))).collect(),
                rows: selection.len(),
                selection: None,
            },
        }
    }

    /// All values of the row at `position`.
    pub fn row(&self, position: usize) -> Vec<Datum> {
        self.columns.iter().map(|column| column.datum(position)).collect()
    }

    /// About how many bytes the batch holds.
    pub fn memory_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.memory_bytes()).sum()
    }
}

/// Positions of a batch's active rows.
#[derive(Debug, Clone)]
pub enum ActiveRows<'a> {
    /// All of them.
    All(std::ops::Range<usize>),
    /// Those selected.
    Some(std::slice::Iter<'a, u16>),
}

impl Iterator for ActiveRows<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        match self {
            ActiveRows::All(range) => range.next(),
            ActiveRows::Some(positions) => positions.next().map(|position| *position as usize),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            ActiveRows::All(range) => range.size_hint(),
            ActiveRows::Some(positions) => positions.size_hint(),
        }
    }
}

impl ExactSizeIterator for ActiveRows<'_> {}
