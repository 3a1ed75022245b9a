//! Names of relation files.

use std::path::{Path, PathBuf};

use ochre_base::{FileId, Fork, Oid, Result};
use ochre_env::Env;

use super::{ForkKey, RelationKey};

/// The directory of all relation files.
pub(crate) const BASE_DIRECTORY: &str = "base";

fn suffix(fork: Fork) -> &'static str {
    match fork {
        Fork::Main => "",
        Fork::History => ".hist",
        Fork::FreeSpace => ".free",
        Fork::Visibility => ".vis",
    }
}

/// The directory of a database's files.
pub(super) fn database_directory(root: &Path, database: Oid) -> PathBuf {
    root.join(BASE_DIRECTORY).join(database.to_string())
}

/// A segment's file name within its database's directory.
pub(super) fn segment_name(fork: ForkKey, segment: u32) -> String {
    let name = format!("{}{}", fork.relation.file, suffix(fork.fork));
    if segment == 0 { name } else { format!("{name}.{segment}") }
}

/// The inverse of [`segment_name`]; `None` for names that are not of this form.
pub(super) fn parse_segment_name(database: Oid, name: &str) -> Option<(ForkKey, u32)> {
    let mut parts = name.split('.');
    let file = parse_number(parts.next()?)?;
    let mut part = parts.next();
    let named = part.and_then(|part| {
        let other_forks = [Fork::History, Fork::FreeSpace, Fork::Visibility];
        other_forks.into_iter().find(|fork| part == &suffix(*fork)[1..])
    });
    if named.is_some() {
        part = parts.next();
    }
    let fork = named.unwrap_or(Fork::Main);
    let segment = match part {
        Some(part) => u32::try_from(parse_number(part)?).ok().filter(|n| *n > 0)?,
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    Some((RelationKey::new(database, FileId(file)).fork(fork), segment))
}

/// The data directory, fork and segment of a relation file; `None` for paths that are none.
pub(crate) fn locate_file(path: &Path) -> Option<(PathBuf, ForkKey, u32)> {
    let directory = path.parent()?;
    let database = parse_number(directory.file_name()?.to_str()?).and_then(|n| u32::try_from(n).ok())?;
    let base = directory.parent().filter(|base| base.ends_with(BASE_DIRECTORY))?;
    let (fork, segment) = parse_segment_name(Oid(database), path.file_name()?.to_str()?)?;
    Some((base.parent()?.to_path_buf(), fork, segment))
}

/// The first file of a relation.
pub(crate) fn main_file(root: &Path, relation: RelationKey) -> PathBuf {
    database_directory(root, relation.database).join(segment_name(relation.fork(Fork::Main), 0))
}

/// Everything in the directory of relation files that is no relation file, nor a database's directory.
pub(crate) fn unknown_names(env: &Env, root: &Path) -> Result<Vec<PathBuf>> {
    let base = root.join(BASE_DIRECTORY);
    let mut unknown = Vec::new();
    for name in env.fs.list(&base)? {
        let directory = base.join(&name);
        match parse_number(&name).and_then(|n| u32::try_from(n).ok()).map(|_| env.fs.list(&directory)) {
            Some(Ok(names)) => {
                let paths = names.into_iter().map(|name| directory.join(name));
                unknown.extend(paths.filter(|path| locate_file(path).is_none()));
            }
            _ => unknown.push(directory),
        }
    }
    Ok(unknown)
}

/// A decimal number as we write it: no sign, no leading zero.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for fork in Fork::ALL {
            for segment in [0, 1, 17] {
                let key = RelationKey::new(Oid(5), FileId(123_456_789_012)).fork(fork);
                let name = segment_name(key, segment);
                assert_eq!(parse_segment_name(Oid(5), &name), Some((key, segment)), "{name}");
            }
        }
        for name in ["", "x", "01", "+1", "1.0", "1.hist.0", "1.hist.vis", "1.2.3", "1.other", "-1"] {
            assert_eq!(parse_segment_name(Oid(5), name), None, "{name}");
        }
    }
}
