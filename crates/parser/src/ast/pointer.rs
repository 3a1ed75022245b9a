//! The box of recursive tree positions.
//!
//! The compiler's own drop, clone and comparison of a deep tree recurse once a level and overflow the stack at a few
//! ten thousand levels. [`P`] passes each level through `stacker`, which costs a comparison of the stack pointer.

use std::fmt;
use std::ops::{Deref, DerefMut};

use ochre_base::limits::{STACK_GROWTH_BYTES, STACK_RED_ZONE_BYTES};

/// A box that is safe to drop, clone, compare and print at any depth.
///
/// Use [`P::into_inner`] to move the value out, and `&*p` or `&mut *p` to match on it.
pub struct P<T>(Option<Box<T>>);

fn guarded<R>(run: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(STACK_RED_ZONE_BYTES, STACK_GROWTH_BYTES, run)
}

impl<T> P<T> {
    /// Boxes a value.
    pub fn new(value: T) -> P<T> {
        P(Some(Box::new(value)))
    }

    /// Moves the value out of its box.
    pub fn into_inner(mut self) -> T {
        *self.0.take().expect("a P is only empty while it is dropped")
    }
}

impl<T> Drop for P<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            guarded(|| drop(inner));
        }
    }
}

impl<T> Deref for P<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("a P is only empty while it is dropped")
    }
}

impl<T> DerefMut for P<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("a P is only empty while it is dropped")
    }
}

impl<T> From<T> for P<T> {
    fn from(value: T) -> P<T> {
        P::new(value)
    }
}

impl<T: Clone> Clone for P<T> {
    fn clone(&self) -> P<T> {
        P::new(guarded(|| (**self).clone()))
    }
}

impl<T: PartialEq> PartialEq for P<T> {
    fn eq(&self, other: &P<T>) -> bool {
        guarded(|| **self == **other)
    }
}

impl<T: fmt::Debug> fmt::Debug for P<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        guarded(|| (**self).fmt(f))
    }
}

impl<'a, T> IntoIterator for &'a P<Vec<T>> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
