//! `aclitem`: which privileges a role has on an object, and who granted them.
//!
//! # On-disk layout
//! Sixteen bytes, little-endian: the grantee's id (0 for PUBLIC), the grantor's, and 64 bits of which the low 32 are the
//! privileges and the high 32 the grant options, with PostgreSQL's numbers.

use ochre_base::{Error, Oid, Result, SqlState};

use crate::{FormatContext, oids};

/// A set of privileges; the bits are PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Privileges(pub u32);

/// Each privilege's bit, letter and word, in the order of the bits.
const ALL: [(Privileges, u8, &str); 15] = [
    (Privileges::INSERT, b'a', "INSERT"),
    (Privileges::SELECT, b'r', "SELECT"),
    (Privileges::UPDATE, b'w', "UPDATE"),
    (Privileges::DELETE, b'd', "DELETE"),
    (Privileges::TRUNCATE, b'D', "TRUNCATE"),
    (Privileges::REFERENCES, b'x', "REFERENCES"),
    (Privileges::TRIGGER, b't', "TRIGGER"),
    (Privileges::EXECUTE, b'X', "EXECUTE"),
    (Privileges::USAGE, b'U', "USAGE"),
    (Privileges::CREATE, b'C', "CREATE"),
    (Privileges::TEMPORARY, b'T', "TEMPORARY"),
    (Privileges::CONNECT, b'c', "CONNECT"),
    (Privileges::SET, b's', "SET"),
    (Privileges::ALTER_SYSTEM, b'A', "ALTER SYSTEM"),
    (Privileges::MAINTAIN, b'm', "MAINTAIN"),
];

#[allow(missing_docs)]
impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const INSERT: Privileges = Privileges(1);
    pub const SELECT: Privileges = Privileges(1 << 1);
    pub const UPDATE: Privileges = Privileges(1 << 2);
    pub const DELETE: Privileges = Privileges(1 << 3);
    pub const TRUNCATE: Privileges = Privileges(1 << 4);
    pub const REFERENCES: Privileges = Privileges(1 << 5);
    pub const TRIGGER: Privileges = Privileges(1 << 6);
    pub const EXECUTE: Privileges = Privileges(1 << 7);
    pub const USAGE: Privileges = Privileges(1 << 8);
    pub const CREATE: Privileges = Privileges(1 << 9);
    pub const TEMPORARY: Privileges = Privileges(1 << 10);
    pub const CONNECT: Privileges = Privileges(1 << 11);
    pub const SET: Privileges = Privileges(1 << 12);
    pub const ALTER_SYSTEM: Privileges = Privileges(1 << 13);
    pub const MAINTAIN: Privileges = Privileges(1 << 14);
}

impl Privileges {
    /// The privilege of a word, in any case; `TEMP` is `TEMPORARY`.
    pub fn named(word: &str) -> Option<Privileges> {
        if word.eq_ignore_ascii_case("temp") {
            return Some(Privileges::TEMPORARY);
        }
        ALL.iter().find(|(.., name)| name.eq_ignore_ascii_case(word)).map(|(bit, ..)| *bit)
    }

    /// Each single privilege of the set, with its word.
    pub fn words(self) -> impl Iterator<Item = (Privileges, &'static str)> {
        ALL.into_iter().filter(move |(bit, ..)| self.has(*bit)).map(|(bit, _, word)| (bit, word))
    }

    /// Whether it holds all of another set.
    pub const fn has(self, other: Privileges) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in one of two sets.
    #[must_use]
    pub const fn with(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }

    /// What is in both of two sets.
    #[must_use]
    pub const fn within(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }

    /// What is not in another set.
    #[must_use]
    pub const fn without(self, other: Privileges) -> Privileges {
        Privileges(self.0 & !other.0)
    }
}

/// What one role has been granted by one other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AclItem {
    /// 0 for PUBLIC.
    pub grantee: Oid,
    pub grantor: Oid,
    pub privileges: Privileges,
    /// The privileges that the grantee may grant on.
    pub options: Privileges,
}

impl AclItem {
    /// The stored form.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.grantee.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.grantor.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.privileges.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.options.0.to_le_bytes());
        bytes
    }

    /// The item of a stored form.
    pub fn from_bytes(bytes: &[u8]) -> Option<AclItem> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if bytes.len() != 16 {
            return None;
        }
        Some(AclItem {
            grantee: Oid(number(0)?),
            grantor: Oid(number(4)?),
            privileges: Privileges(number(8)?),
            options: Privileges(number(12)?),
        })
    }

    /// `alice=arw*/bob`; a role without a name is its number.
    pub fn print(&self, context: &FormatContext, out: &mut Vec<u8>) {
        if self.grantee.is_valid() {
            print_role(self.grantee, context, out);
        }
        out.push(b'=');
        for (bit, letter, _) in ALL {
            if self.privileges.has(bit) {
                out.push(letter);
                if self.options.has(bit) {
                    out.push(b'*');
                }
            }
        }
        out.push(b'/');
        print_role(self.grantor, context, out);
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// 22P02 for another form, 42704 for an unknown role.
    pub fn parse(text: &str, context: &FormatContext) -> Result<AclItem> {
        let (name, rest) = read_name(text.trim_start())?;
        let (name, rest) = match name.as_str() {
            "group" | "user" if !rest.starts_with('=') => read_name(rest.trim_start())?,
            _ => (name, rest),
        };
        let rest = rest.strip_prefix('=').ok_or_else(|| invalid("missing \"=\" sign"))?;
        let role = |name: &str| -> Result<Oid> {
            match &context.names {
                Some(names) => names.parse(oids::REGROLE, &quoted(name)),
                // Without names roles are told by their ids.
                None => name.parse().map(Oid).map_err(|_| invalid("a role is not told by its id")),
            }
        };
        let grantee = if name.is_empty() { Oid::INVALID } else { role(&name)? };
        let (mut privileges, mut options) = (Privileges::NONE, Privileges::NONE);
        let mut last = Privileges::NONE;
        let mut at = 0;
        for letter in rest.bytes().take_while(|letter| letter.is_ascii_alphabetic() || *letter == b'*') {
            at += 1;
            if letter == b'*' {
                options = options.with(last);
                continue;
            }
            let found = ALL.iter().find(|(_, known, _)| *known == letter);
            last = found
                .map(|(bit, ..)| *bit)
                .ok_or_else(|| invalid("invalid mode character: must be one of \"arwdDxtXUCTcsAm\""))?;
            privileges = privileges.with(last);
        }
        let grantor = match rest[at..].strip_prefix('/') {
            Some(rest) => {
                let (name, rest) = read_name(rest)?;
                if name.is_empty() {
                    return Err(invalid("a name must follow the \"/\" sign"));
                }
                if !rest.trim().is_empty() {
                    return Err(invalid("extra garbage at the end of the ACL specification"));
                }
                role(&name)?
            }
            None if rest[at..].trim().is_empty() => Oid(10),
            None => return Err(invalid("extra garbage at the end of the ACL specification")),
        };
        Ok(AclItem { grantee, grantor, privileges, options })
    }
}

#[cold]
fn invalid(message: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name, in quotes or not, and what follows it.
fn read_name(text: &str) -> Result<(String, &str)> {
    let mut name = String::new();
    let mut within = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let is_part = c.is_alphanumeric() || matches!(c, '_' | '"') || !c.is_ascii();
        if !within && !is_part {
            break;
        }
        rest = &rest[c.len_utf8()..];
        if c != '"' {
            name.push(c);
        } else if within && rest.starts_with('"') {
            name.push('"');
            rest = &rest[1..];
        } else {
            within = !within;
        }
    }
    Ok((name, rest))
}

fn print_role(role: Oid, context: &FormatContext, out: &mut Vec<u8>) {
    let Some(name) = context.names.as_ref().and_then(|names| names.role_name(role)) else {
        return out.extend_from_slice(role.0.to_string().as_bytes());
    };
    if name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.extend_from_slice(quoted(&name).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_survive_their_stored_form() {
        let item = AclItem {
            grantee: Oid(16_400),
            grantor: Oid(10),
            privileges: Privileges::SELECT.with(Privileges::MAINTAIN),
            options: Privileges::MAINTAIN,
        };
        assert_eq!(AclItem::from_bytes(&item.to_bytes()), Some(item));
        assert_eq!(AclItem::from_bytes(&[0; 15]), None);
        let mut text = Vec::new();
        item.print(&FormatContext::default(), &mut text);
        assert_eq!(text, b"16400=rm*/10");
    }

    #[test]
    fn texts_are_read() {
        let item = AclItem::parse("\"16400\"=r*w/10", &FormatContext::default()).unwrap();
        assert_eq!((item.grantee, item.grantor), (Oid(16_400), Oid(10)));
        assert_eq!(item.privileges, Privileges::SELECT.with(Privileges::UPDATE));
        assert_eq!(item.options, Privileges::SELECT);
        assert!(AclItem::parse("a=r/10", &FormatContext::default()).is_err());
        assert!(AclItem::parse("=q/10", &FormatContext::default()).is_err());
        assert!(AclItem::parse("a", &FormatContext::default()).is_err());
    }
}
