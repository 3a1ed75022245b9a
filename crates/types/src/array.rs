//! Array values: any number of dimensions, each with its lower bound.

use std::sync::{Arc, LazyLock};

use ochre_base::Result;
use smallvec::SmallVec;

use crate::{Datum, Pace, SqlType};

/// The most dimensions an array can have.
pub const MAX_DIMENSIONS: usize = 6;

/// One dimension of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArrayDimension {
    /// Elements along it.
    pub length: i32,
    /// The subscript of the first element, usually 1.
    pub lower: i32,
}

/// An array: elements in row-major order. An empty array has no dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayValue {
    /// The elements' type.
    pub element: SqlType,
    /// At most [`MAX_DIMENSIONS`]; the product of their lengths is the number of elements.
    pub dimensions: SmallVec<[ArrayDimension; 1]>,
    /// In row-major order.
    pub elements: Vec<Datum>,
}

impl ArrayValue {
    /// A one-dimensional array with lower bound 1; without elements, the empty array.
    pub fn vector(element: SqlType, elements: Vec<Datum>) -> ArrayValue {
        let mut dimensions = SmallVec::new();
        if !elements.is_empty() {
            dimensions.push(ArrayDimension { length: elements.len() as i32, lower: 1 });
        }
        ArrayValue { element, dimensions, elements }
    }

    /// The empty array.
    pub fn empty(element: SqlType) -> ArrayValue {
        ArrayValue::vector(element, Vec::new())
    }

    /// What stands at a NULL's place in a column.
    pub fn placeholder() -> Arc<ArrayValue> {
        static EMPTY: LazyLock<Arc<ArrayValue>> =
            LazyLock::new(|| Arc::new(ArrayValue::empty(SqlType::TEXT)));
        EMPTY.clone()
    }

    /// Elements of all dimensions.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Whether an element is NULL.
    pub fn has_nulls(&self) -> bool {
        self.elements.iter().any(Datum::is_null)
    }

    /// The position among [`ArrayValue::elements`] that `subscripts` name; `None` outside the bounds or with another
    /// number of subscripts than dimensions.
    pub fn position(&self, subscripts: &[i32]) -> Option<usize> {
        if subscripts.len() != self.dimensions.len() || subscripts.is_empty() {
            return None;
        }
        let mut position = 0usize;
        for (subscript, dimension) in subscripts.iter().zip(&self.dimensions) {
            let along = i64::from(*subscript) - i64::from(dimension.lower);
            if along < 0 || along >= i64::from(dimension.length) {
                return None;
            }
            position = position * dimension.length as usize + along as usize;
        }
        Some(position)
    }

    /// The same array, copied for as long as the statement may go on.
    ///
    /// # Errors
    /// As [`Pace::look`].
    pub fn copied(&self, pace: &mut Pace<'_>) -> Result<ArrayValue> {
        let mut elements = Vec::with_capacity(self.elements.len());
        pace.extend(self.elements.iter().cloned(), &mut elements)?;
        Ok(ArrayValue { element: self.element, dimensions: self.dimensions.clone(), elements })
    }

    /// About how many bytes the array holds.
    pub fn memory_bytes(&self) -> usize {
        let long: usize = self.elements.iter().filter_map(Datum::as_bytes).map(<[u8]>::len).sum();
        std::mem::size_of::<ArrayValue>() + self.elements.len() * std::mem::size_of::<Datum>() + long
    }
}
