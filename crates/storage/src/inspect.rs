//! Readable dumps of pages and of the log, and a check of all pages: `ochre inspect` and `ochre check`.
//!
//! Works on a directory that nobody has open, and changes nothing.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ochre_base::limits::{PAGE_SIZE, PAGES_PER_SEGMENT};
use ochre_base::{BlockNo, Error, Fork, Lsn, PageKey, Result};
use ochre_env::Env;

use crate::current::{Current, CurrentFile};
use crate::files::{FileStore, RelationKey};
use crate::page::{Page, PageKind};
use crate::records;
use crate::storage::ResourceManager;
use crate::wal::{BlockFlags, RmgrId, SegmentFiles, WalReader, WalRecord, crc_seed};

/// Prints a page's header and slots. `describe_row` says what a row's bytes mean, from its slot's flags.
pub fn print_page(page: &Page, describe_row: &dyn Fn(u8, &[u8]) -> String) -> String {
    let mut out = String::new();
    if page.is_unused() {
        return "unused page\n".to_string();
    }
    let _ = writeln!(
        out,
        "{} page, layout {}, lsn {:016x}, checksum {:#010x}, flags {:#06x}, number {}",
        page.kind().name(),
        page.layout_version(),
        page.lsn().0,
        page.checksum(),
        page.flags(),
        page.kind_number()
    );
    let _ = writeln!(
        out,
        "lower {} upper {} special {} free {} ({} after compaction)",
        page.lower(),
        page.upper(),
        page.special_start(),
        page.free_contiguous(),
        page.free_total()
    );
    for number in 0..page.slot_count() {
        let slot = page.slot(number);
        if slot.is_unused() {
            let _ = writeln!(out, "slot {number}: unused");
            continue;
        }
        let row = page.row(number).map_or_else(|| "-".to_string(), |row| describe_row(slot.flags, row));
        let _ = writeln!(
            out,
            "slot {number}: offset {} length {} flags {:#03x} {row}",
            slot.offset, slot.len, slot.flags
        );
    }
    if (page.special_start() as usize) < PAGE_SIZE {
        let _ = writeln!(out, "special {}", hexadecimal(page.special(), 64));
    }
    out
}

/// The first bytes as hexadecimal digits: a row's description when nothing is known about it.
pub fn hexadecimal(bytes: &[u8], at_most: usize) -> String {
    let mut out = String::with_capacity(at_most * 2 + 3);
    for byte in bytes.iter().take(at_most) {
        let _ = write!(out, "{byte:02x}");
    }
    if bytes.len() > at_most {
        out.push_str("...");
    }
    out
}

/// Prints one log record on a line, and each of its pages on another.
pub fn print_record(record: &WalRecord<'_>, managers: &[&dyn ResourceManager]) -> String {
    let manager = managers.iter().find(|manager| manager.rmgr() == record.rmgr);
    let (name, what) = match manager {
        _ if record.rmgr == RmgrId::STORAGE => ("storage", records::describe(record)),
        Some(manager) => (manager.name(), manager.describe(record)),
        None => ("unknown", format!("info {} main {} bytes", record.info, record.main.len())),
    };
    let mut out = format!(
        "{:016x} {:6} bytes, run {}, xid {}, {name}: {what}\n",
        record.start.0, record.length, record.incarnation, record.xid
    );
    for (index, block) in record.blocks.iter().enumerate() {
        let _ = write!(out, "    page {index}: {} data {} bytes", block.key, block.data.len());
        if block.flags == BlockFlags::INIT {
            out.push_str(" init");
        }
        if block.has_image {
            let _ = write!(out, " image {} bytes", block.image_bytes());
        }
        out.push('\n');
    }
    out
}

/// Reads a directory's log from `from` (or its redo point) on, and calls `visit` for each record until it says false.
/// Returns the position behind the last record read.
///
/// # Errors
/// XX001 when there is no valid `CURRENT`.
pub fn read_wal(
    env: &Env,
    root: &Path,
    from: Option<Lsn>,
    visit: &mut dyn FnMut(&WalRecord<'_>) -> bool,
) -> Result<Lsn> {
    let current = read_current(env, root)?;
    let segments = SegmentFiles::new(env.clone(), root, current.wal_segment_bytes);
    let mut reader =
        WalReader::new(&segments, crc_seed(current.system_identifier), from.unwrap_or(current.redo));
    while let Some(record) = reader.next()? {
        if !visit(&record) {
            break;
        }
    }
    Ok(reader.position())
}

/// Prints what `CURRENT` says.
pub fn print_current(env: &Env, root: &Path) -> Result<String> {
    let current = read_current(env, root)?;
    Ok(format!(
        "system identifier {}\nredo point {:016x}\ncheckpoint {:016x}\nlog segment {} bytes\nrun {}\nstate {}\n",
        current.system_identifier,
        current.redo.0,
        current.checkpoint.0,
        current.wal_segment_bytes,
        current.incarnation,
        if current.shut_down { "shut down" } else { "running" }
    ))
}

fn read_current(env: &Env, root: &Path) -> Result<Current> {
    let path = root.join(crate::current::CURRENT_FILE);
    if !env.fs.exists(&path)? {
        return Err(Error::corrupt(format!("\"{}\" is not a data directory", root.display())));
    }
    CurrentFile::open(env, root)?
        .1
        .ok_or_else(|| Error::corrupt(format!("file \"{}\" has no valid copy", path.display())))
}

/// Reads a page from its file as it is, checked or not.
pub fn read_page(env: &Env, root: &Path, key: PageKey) -> Result<Page> {
    let store = FileStore::new(env.clone(), root.to_path_buf());
    let fork = store.fork(crate::files::ForkKey::of(key))?;
    if key.block.0 >= fork.blocks() {
        return Err(Error::corrupt(format!("{key} lies behind the end of its file")));
    }
    let mut page = Page::zeroed();
    fork.read(key.block.0, &mut page)?;
    Ok(page)
}

/// What [`check_pages`] found.
#[derive(Debug, Default)]
pub struct PageCheck {
    /// Relations looked at.
    pub relations: u64,
    /// Pages looked at.
    pub pages: u64,
    /// Which pages are damaged, and how.
    pub problems: Vec<(PageKey, String)>,
}

/// Reads every page of a directory and checks checksum, header and slots. Damaged pages of the free-space map are
/// not problems: it is a hint. `visit` sees every sound page of every other fork.
pub fn check_pages(env: &Env, root: &Path, visit: &mut dyn FnMut(PageKey, &Page)) -> Result<PageCheck> {
    let store = FileStore::new(env.clone(), root.to_path_buf());
    let mut check = PageCheck::default();
    for relation in store.list()? {
        check.relations += 1;
        for fork in Fork::ALL {
            check_fork(&store, relation, fork, &mut check, visit)?;
        }
    }
    Ok(check)
}

fn check_fork(
    store: &FileStore,
    relation: RelationKey,
    fork: Fork,
    check: &mut PageCheck,
    visit: &mut dyn FnMut(PageKey, &Page),
) -> Result<()> {
    let file = store.fork(relation.fork(fork))?;
    let mut page = Page::zeroed();
    for block in 0..file.blocks() {
        let key = relation.fork(fork).page(BlockNo(block));
        check.pages += 1;
        let verdict = match file.read(block, &mut page) {
            Ok(()) => page.verify(key).and_then(|()| verify_kind(&page, fork)),
            Err(error) => Err(error.message().to_string()),
        };
        match verdict {
            Ok(()) if fork != Fork::FreeSpace => visit(key, &page),
            Ok(()) => {}
            Err(_) if fork == Fork::FreeSpace => {}
            Err(what) => check.problems.push((key, what)),
        }
    }
    Ok(())
}

/// Whether a page is of a kind that its fork has.
fn verify_kind(page: &Page, fork: Fork) -> Result<(), String> {
    let kind = page.kind();
    let fits = match fork {
        Fork::History => matches!(kind, PageKind::HISTORY | PageKind::OVERFLOW),
        Fork::FreeSpace => kind == PageKind::FREE_SPACE,
        Fork::Visibility => kind == PageKind::VISIBILITY,
        Fork::Main => !matches!(
            kind,
            PageKind::HISTORY | PageKind::OVERFLOW | PageKind::FREE_SPACE | PageKind::VISIBILITY
        ),
    };
    if fits || page.is_unused() { Ok(()) } else { Err(format!("the page is of kind {}", kind.name())) }
}

/// A log that is damaged before its end.
#[derive(Debug, Clone)]
pub struct LogDamage {
    /// Where: what is before it can be kept.
    pub at: Lsn,
    /// The last record before it.
    pub last: Option<Lsn>,
    /// The record behind it that tells that the log was whole there.
    pub proof: Lsn,
    /// Pages that hold changes from behind it. While there are any, ending the log there would leave these changes and not
    /// others of the same transactions, whose numbers would be given out again.
    pub pages_ahead: Vec<PageKey>,
    /// Relations whose files were removed behind it, and which are there again where the log ends.
    pub files_gone: Vec<RelationKey>,
}

/// Looks for damage in the log that recovery would redo, as recovery does; `None` when it ends where it should. Changes
/// nothing; nobody may have the directory open. `dropped` says which relations a record drops.
///
/// # Errors
/// XX001 when there is no valid `CURRENT`, or when the damage lies before the last checkpoint's record: then files hold
/// changes from behind it.
pub fn find_log_damage(
    env: &Env,
    root: &Path,
    dropped: &dyn Fn(&WalRecord<'_>) -> Vec<RelationKey>,
) -> Result<Option<LogDamage>> {
    let current = read_current(env, root)?;
    let segments = SegmentFiles::new(env.clone(), root, current.wal_segment_bytes);
    let mut reader = WalReader::new(&segments, crc_seed(current.system_identifier), current.redo);
    let mut last = None;
    while let Some(record) = reader.next()? {
        last = Some(record.start);
    }
    let at = reader.position();
    if at <= current.checkpoint {
        return Err(Error::corrupt(format!(
            "the log is damaged at {:016x}, before the checkpoint record at {:016x}",
            at.0, current.checkpoint.0
        ))
        .detail("Pages were written that hold changes from behind that place.")
        .hint("Restore a backup."));
    }
    if current.shut_down {
        return Ok(None);
    }
    let Some(proof) = reader.find_proof_of_damage()? else { return Ok(None) };
    let mut pages_ahead = Vec::new();
    check_pages(env, root, &mut |key, page| {
        if page.lsn() > at {
            pages_ahead.push(key);
        }
    })?;
    let seed = crc_seed(current.system_identifier);
    let behind = WalReader::new(&segments, seed, at);
    let files_gone = files_removed_behind(env, root, behind, proof, dropped)?;
    Ok(Some(LogDamage { at, last, proof, pages_ahead, files_gone }))
}

/// The relations whose files are gone because of records behind the damage where the reader stands, but for those that were made there,
/// too. Records stand there before the one that proves the damage, too.
fn files_removed_behind(
    env: &Env,
    root: &Path,
    mut reader: WalReader<'_>,
    proof: Lsn,
    dropped: &dyn Fn(&WalRecord<'_>) -> Vec<RelationKey>,
) -> Result<Vec<RelationKey>> {
    let (mut made, mut gone) = (HashSet::new(), Vec::new());
    loop {
        if let Some(record) = reader.next()? {
            if record.rmgr == RmgrId::STORAGE && record.info == records::FILE_CREATE {
                made.insert(records::Fields(record.main).relation()?);
            }
            for relation in dropped(&record) {
                if !made.contains(&relation) && !env.fs.exists(&crate::files::main_file(root, relation))? {
                    gone.push(relation);
                }
            }
            continue;
        }
        if reader.position() >= proof {
            return Ok(gone);
        }
        reader.pass_damage();
    }
}

/// Whether a record is a checkpoint's, which carries the outcomes of transactions and the pending files.
pub fn is_checkpoint(record: &WalRecord<'_>) -> bool {
    record.rmgr == RmgrId::STORAGE && record.info == crate::records::CHECKPOINT
}

/// Gives a log record whose bytes were changed the checksum that they ask for, as one who knows the format could: for
/// tests of what reads the log. `record` is the whole of it, without padding.
///
/// # Errors
/// XX001 when there is no valid `CURRENT`.
///
/// # Panics
/// When the record is shorter than a header.
pub fn reseal_record(env: &Env, root: &Path, record: &mut [u8]) -> Result<()> {
    crate::wal::reseal(record, crc_seed(read_current(env, root)?.system_identifier));
    Ok(())
}

/// Whether a directory has the file that a data directory begins with.
///
/// # Errors
/// 58030.
pub fn is_data_directory(env: &Env, root: &Path) -> Result<bool> {
    Ok(env.fs.exists(&root.join(crate::current::CURRENT_FILE))?)
}

/// What is wrong with the copies in `CURRENT`, a line each.
///
/// # Errors
/// 58030.
pub fn check_current(env: &Env, root: &Path) -> Result<Vec<String>> {
    crate::current::damaged_copies(env, root)
}

/// Files below `base` whose names are not those of relation files.
///
/// # Errors
/// 58030.
pub fn unknown_files(env: &Env, root: &Path) -> Result<Vec<PathBuf>> {
    crate::files::unknown_names(env, root)
}

/// A relation's page by the file it is in, `…/base/DATABASE/FILE`, and its number within that file: the data directory
/// and the page's address. `None` for names that are not of this form.
pub fn page_of_file(path: &Path, block: u32) -> Option<(PathBuf, PageKey)> {
    let (root, fork, segment) = crate::files::locate_file(path)?;
    let block = segment.checked_mul(PAGES_PER_SEGMENT)?.checked_add(block)?;
    Some((root, fork.page(BlockNo(block))))
}
