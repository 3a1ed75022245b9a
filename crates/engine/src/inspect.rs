//! Anything on disk in readable form, for `ochre inspect`.

use std::path::Path;
use std::sync::Arc;

use ochre_access::{btree, heap, sequence};
use ochre_base::{BlockNo, Error, Lsn, PageKey, Result, SqlState};
use ochre_env::Env;
use ochre_storage::{Page, PageKind, RelationKey, ResourceManager, WalRecord, inspect};

use crate::check::stored_relations;
use crate::instance::{Instance, Redoers};

/// Prints a page by what it is.
pub fn print_page(page: &Page) -> String {
    match page.kind() {
        PageKind::BTREE => btree::dump_page(page),
        sequence::SEQUENCE_PAGE => sequence::dump_page(page),
        _ => heap::dump_page(page),
    }
}

/// Reads a page from its file and prints it, after its address and whether it is sound.
///
/// # Errors
/// XX001 when it lies behind the end of its file.
pub fn page(env: &Env, root: &Path, key: PageKey) -> Result<String> {
    let page = inspect::read_page(env, root, key)?;
    let verdict = match page.verify(key) {
        Ok(()) => "sound".to_string(),
        Err(what) => format!("damaged: {what}"),
    };
    Ok(format!("{key}: {verdict}\n{}", print_page(&page)))
}

/// Prints a directory's log from `from`, or its redo point, on: what `CURRENT` says, then each record, until `print`
/// says false.
///
/// # Errors
/// XX001 when there is no valid `CURRENT`.
pub fn wal(env: &Env, root: &Path, from: Option<Lsn>, print: &mut dyn FnMut(&str) -> bool) -> Result<()> {
    let managers = Redoers::new().managers();
    let managers: Vec<&dyn ResourceManager> = managers.iter().map(Arc::as_ref).collect();
    if !print(&inspect::print_current(env, root)?) {
        return Ok(());
    }
    let mut visit = |record: &WalRecord<'_>| print(&inspect::print_record(record, &managers));
    let end = inspect::read_wal(env, root, from, &mut visit)?;
    print(&format!("{:016x} end\n", end.0));
    Ok(())
}

/// Prints an index: its figures, then a line a page; or one of its pages.
///
/// # Errors
/// 42P01 when there is no such relation, 42809 when it is no index.
pub fn btree(instance: &Arc<Instance>, database: &str, name: &str, block: Option<u32>) -> Result<String> {
    let (key, name) = relation(instance, database, name)?;
    if !name.contains(": index ") {
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is not an index")));
    }
    if let Some(block) = block {
        let page = instance.storage().pool().read(key.main_page(BlockNo(block)))?;
        return Ok(btree::dump_page(&page));
    }
    let tree = instance.btrees().open(key)?;
    let report = tree.check(&mut |_, _, _| {})?;
    let mut out = format!(
        "{name}\nheight {}, {} entries in {} leaves ({} % full, {} empty), {} branches, {} free pages\n",
        report.height,
        report.entries,
        report.leaf_pages,
        report.leaf_fill_percent,
        report.empty_leaves,
        report.branch_pages,
        report.free_pages + report.lost_pages
    );
    for problem in &report.problems {
        out.push_str(&format!("PROBLEM: block {} {}\n", problem.block, problem.what));
    }
    out.push_str(&btree::dump_tree(&tree)?);
    Ok(out)
}

/// The files of a relation by its name, with its namespace or without, and what it is called in full.
///
/// # Errors
/// 3D000, 42P01.
pub fn relation(instance: &Arc<Instance>, database: &str, name: &str) -> Result<(RelationKey, String)> {
    let database = instance.open_database(database)?;
    let found = stored_relations(&database).into_iter().find(|(_, full)| {
        let qualified = full.rsplit(' ').next().unwrap_or_default();
        qualified == name || qualified.split_once('.').is_some_and(|(_, own)| own == name)
    });
    found.ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist or has no file"))
    })
}
