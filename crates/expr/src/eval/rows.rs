//! Iteration over the rows that a kernel must look at.

use ochre_base::Result;
use ochre_types::Selection;

/// The rows of a batch that are selected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    All(usize),
    Some(&'a [u16]),
}

impl<'a> Rows<'a> {
    pub(crate) fn new(rows: usize, selection: Option<&'a Selection>) -> Rows<'a> {
        selection.map_or(Rows::All(rows), |selection| Rows::Some(selection.positions()))
    }

    /// Runs `f` on each row, in order.
    #[inline]
    pub(crate) fn each(self, mut f: impl FnMut(usize)) {
        match self {
            Rows::All(rows) => (0..rows).for_each(f),
            Rows::Some(positions) => positions.iter().for_each(|position| f(*position as usize)),
        }
    }

    /// Runs `f` on each row, in order, until it fails.
    #[inline]
    pub(crate) fn try_each(self, mut f: impl FnMut(usize) -> Result<()>) -> Result<()> {
        match self {
            Rows::All(rows) => (0..rows).try_for_each(f),
            Rows::Some(positions) => positions.iter().try_for_each(|position| f(*position as usize)),
        }
    }

    /// How many rows.
    pub(crate) fn len(self) -> usize {
        match self {
            Rows::All(rows) => rows,
            Rows::Some(positions) => positions.len(),
        }
    }
}
