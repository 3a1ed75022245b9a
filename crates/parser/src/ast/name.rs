//! Names and positions.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use smallvec::SmallVec;

/// A byte offset into the text, or none for a node that the text does not spell out.
///
/// Two positions always compare equal, so that `==` on trees ignores where things stand.
#[derive(Clone, Copy)]
pub struct Pos(u32);

impl Pos {
    /// No position.
    pub const NONE: Pos = Pos(u32::MAX);

    /// The position of the byte at this offset.
    pub const fn new(offset: usize) -> Pos {
        Pos(offset as u32)
    }

    /// The byte offset; 0 where there is none.
    pub const fn offset(self) -> usize {
        if self.0 == u32::MAX { 0 } else { self.0 as usize }
    }

    /// The byte offset, if there is one.
    pub const fn get(self) -> Option<usize> {
        if self.0 == u32::MAX { None } else { Some(self.0 as usize) }
    }
}

impl Default for Pos {
    fn default() -> Pos {
        Pos::NONE
    }
}

impl PartialEq for Pos {
    fn eq(&self, _: &Pos) -> bool {
        true
    }
}

impl Eq for Pos {}

impl fmt::Debug for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(offset) => write!(f, "@{offset}"),
            None => f.write_str("@-"),
        }
    }
}

/// An identifier: owned text, or static text for names that the grammar itself supplies.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Owned(Box<str>),
}

impl Name {
    /// A name known at compile time; costs no allocation.
    pub const fn from_static(text: &'static str) -> Name {
        Name(Repr::Static(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Owned(text) => text,
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(Repr::Owned(text.into()))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name(Repr::Owned(text.into_boxed_str()))
    }
}

impl From<Box<str>> for Name {
    fn from(text: Box<str>) -> Name {
        Name(Repr::Owned(text))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The dotted parts of a name, outermost first.
pub type NameParts = SmallVec<[Name; 1]>;

/// A possibly qualified name of any object: `name`, `schema.name`, `catalog.schema.name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// At least one part.
    pub parts: NameParts,
    pub pos: Pos,
}

impl Hash for Pos {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl ObjectName {
    /// An unqualified name.
    pub fn unqualified(name: Name, pos: Pos) -> ObjectName {
        let mut parts = NameParts::new();
        parts.push(name);
        ObjectName { parts, pos }
    }

    /// A name in `pg_catalog` that the grammar supplies.
    pub fn system(name: &'static str, pos: Pos) -> ObjectName {
        let mut parts = NameParts::with_capacity(2);
        parts.push(Name::from_static("pg_catalog"));
        parts.push(Name::from_static(name));
        ObjectName { parts, pos }
    }

    /// The last part.
    pub fn name(&self) -> &Name {
        self.parts.last().expect("an object name has at least one part")
    }

    /// The part before the last: the schema of a relation, type or function.
    pub fn schema(&self) -> Option<&Name> {
        self.parts.len().checked_sub(2).map(|i| &self.parts[i])
    }

    /// The part before the schema.
    pub fn catalog(&self) -> Option<&Name> {
        self.parts.len().checked_sub(3).map(|i| &self.parts[i])
    }
}

impl fmt::Display for ObjectName {
    /// The parts with dots between them, unquoted, as PostgreSQL's messages show them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}
