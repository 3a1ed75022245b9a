//! Functions that need the catalog, other sessions or the storage.

use std::sync::Arc;

use ochre_base::{Error, Fork, Oid, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{CatalogSnapshot, IndexMethod, RelationDescriptor, RelationKind, oids, stored};
use ochre_expr::Function;
use ochre_txn::locks::{AdvisoryKey, LockLevel, LockTag, LockWait};
use ochre_types::Datum;

use crate::authority;
use crate::ddl::quote_identifier;
use crate::definitions;
use crate::session::context::StatementSession;
use crate::session::{Scroll, State};

fn oid_at(args: &[Datum], index: usize) -> Oid {
    Oid(args.get(index).and_then(Datum::as_i64).unwrap_or(0) as u32)
}

fn text_at(args: &[Datum], index: usize) -> &str {
    args.get(index).and_then(Datum::as_str).unwrap_or_default()
}

fn optional(text: Option<String>) -> Datum {
    State::text_datum(text)
}

/// Calls one.
///
/// # Errors
/// Those of the function; 0A000 for one that does not exist here.
pub(crate) fn call(session: &StatementSession<'_>, function: &Function, args: &[Datum]) -> Result<Datum> {
    let name: &str = &function.name;
    if name.starts_with("has_") && name.ends_with("_privilege") || name == "pg_has_role" {
        return authority::has_privilege(session, function, args);
    }
    match name {
        "acldefault" => return authority::acl_default(args),
        "makeaclitem" => return authority::make_item(args),
        _ => {}
    }
    if name.ends_with("_is_visible") {
        return Ok(is_visible(session, name, oid_at(args, 0)));
    }
    if let Some(result) = describe(session, name, args)? {
        return Ok(result);
    }
    if let Some(result) = crate::function_statistics::call(session, name, oid_at(args, 0)) {
        return Ok(result);
    }
    if let Some(result) = crate::table_statistics::call(session, name, oid_at(args, 0))? {
        return Ok(result);
    }
    if let Some(result) = size(session, name, args)? {
        return Ok(result);
    }
    if let Some(result) = system(session, name, args)? {
        return Ok(result);
    }
    if let Some(result) = crate::monitor::call(session, name, args)? {
        return Ok(result);
    }
    if let Some(result) = advisory(session, name, args)? {
        return Ok(result);
    }
    match name {
        "pg_notify" => {
            let (channel, payload) = (text_at(args, 0), text_at(args, 1));
            session.state.notices_of_session(|notices| notices.add_note(channel, payload))?;
            return Ok(Datum::text(""));
        }
        "pg_notification_queue_usage" => {
            return Ok(Datum::Float64(session.state.instance.notifications().usage()));
        }
        _ => {}
    }
    Err(Error::unsupported(format!("function {name}")))
}

fn is_visible(session: &StatementSession<'_>, name: &str, oid: Oid) -> Datum {
    let catalog = session.catalog();
    if name == "pg_table_is_visible" {
        let Some(relation) = catalog.relation(oid) else {
            return Datum::Null;
        };
        let path = session.state.search_path();
        let found = catalog.find_relation(&path, &relation.name);
        return Datum::Bool(found.is_some_and(|found| found.oid == oid));
    }
    if name == "pg_type_is_visible"
        && let Some(relation) = catalog.relation_of_type(oid)
    {
        return Datum::Bool(session.state.search_path().contains(&relation.namespace));
    }
    // Everything else is built in, in pg_catalog, which is always searched.
    Datum::Bool(true)
}

fn comment(session: &StatementSession<'_>, object: Oid, class: Oid, part: i64) -> Option<String> {
    let catalog = session.catalog();
    let text = match class {
        oids::PG_CLASS => {
            let relation = catalog.relation(object)?;
            match (part, &relation.index) {
                (0, Some(index)) => index.comment.clone(),
                (0, None) => relation.comment.clone(),
                (part, _) => relation.column(part as i16)?.comment.clone(),
            }
        }
        oids::PG_NAMESPACE => catalog.namespace(object)?.comment.clone(),
        oids::PG_DATABASE => catalog.database(object)?.comment.clone(),
        oids::PG_AUTHID => catalog.role(object)?.comment.clone(),
        oids::PG_CONSTRAINT => catalog.constraint(object)?.comment.clone(),
        _ => None,
    };
    text.map(|text| text.to_string())
}

/// Functions that describe objects of the catalog.
fn describe(session: &StatementSession<'_>, name: &str, args: &[Datum]) -> Result<Option<Datum>> {
    let catalog = session.catalog();
    let class = |text: &str| catalog.relation_in(oids::PG_CATALOG, text).map_or(Oid::INVALID, |r| r.oid);
    Ok(Some(match name {
        "obj_description" if args.len() == 1 => {
            let object = oid_at(args, 0);
            optional(
                comment(session, object, oids::PG_CLASS, 0)
                    .or_else(|| comment(session, object, oids::PG_NAMESPACE, 0)),
            )
        }
        "obj_description" | "shobj_description" => {
            optional(comment(session, oid_at(args, 0), class(text_at(args, 1)), 0))
        }
        "col_description" => {
            let column = args[1].as_i64().unwrap_or(0);
            optional(comment(session, oid_at(args, 0), oids::PG_CLASS, column).filter(|_| column != 0))
        }
        "pg_get_expr" => optional(expression_text(text_at(args, 0)).map(|text| with_names(session, &text))),
        "pg_get_indexdef" => {
            let Some(index) = catalog.relation(oid_at(args, 0)).and_then(|r| r.index.clone()) else {
                return Ok(Some(Datum::Null));
            };
            let column = args.get(1).and_then(Datum::as_i64).unwrap_or(0);
            let text = definitions::index(catalog, &index, column as usize);
            optional(text.map(|text| with_names(session, &text)))
        }
        "gin_clean_pending_list" => {
            let relation = catalog.relation(oid_at(args, 0)).cloned();
            let relation = relation.ok_or_else(|| crate::errors::undefined_table(oid_at(args, 0)))?;
            if relation.index.as_ref().is_none_or(|index| index.method != IndexMethod::Gin) {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a GIN index", relation.name),
                ));
            }
            // There is no such list.
            Datum::Int64(0)
        }
        "pg_get_constraintdef" => {
            let Some(constraint) = catalog.constraint(oid_at(args, 0)).cloned() else {
                return Ok(Some(Datum::Null));
            };
            let text = definitions::constraint(catalog, &session.state.search_path(), &constraint)
                .map(|text| with_names(session, &text));
            optional(match args.get(1) {
                Some(Datum::Bool(true)) => text.map(definitions::pretty),
                _ => text,
            })
        }
        "pg_get_viewdef" => {
            let view = match &args[0] {
                Datum::UInt32(oid) => catalog.relation(Oid(*oid)).cloned(),
                other => {
                    let name = other.as_str().unwrap_or_default();
                    let parts = crate::session::split_dotted(name);
                    session.state.find_by_parts(&parts)?
                }
            };
            let path = session.state.search_path();
            optional(view.and_then(|view| crate::ddl::view_definition(catalog, &path, &view)))
        }
        "pg_get_serial_sequence" => serial_sequence(session, args)?,
        "pg_sequence_last_value" => {
            let relation = catalog.relation(oid_at(args, 0)).cloned();
            let wanted = Privileges::SELECT.with(Privileges::USAGE);
            let may_see =
                |relation: &Arc<RelationDescriptor>| session.state.require_sequence(relation, wanted).is_ok();
            let sequence = relation.filter(|relation| relation.kind == RelationKind::Sequence);
            match sequence.filter(may_see) {
                Some(relation) => {
                    let (value, is_called, _, lsn) = session.state.database.sequence(&relation)?.state();
                    session.state.note_met(lsn);
                    if is_called { Datum::Int64(value) } else { Datum::Null }
                }
                None => Datum::Null,
            }
        }
        "pg_get_function_result" => optional(session.session().function_result_text(oid_at(args, 0))),
        "pg_get_function_arguments" => {
            optional(session.session().function_arguments_text(oid_at(args, 0), true))
        }
        "pg_get_function_identity_arguments" => {
            optional(session.session().function_arguments_text(oid_at(args, 0), false))
        }
        "pg_get_function_arg_default" => {
            let number = args[1].as_i64().unwrap_or(0);
            optional(session.session().function_default_text(oid_at(args, 0), number))
        }
        "pg_get_functiondef" => optional(session.session().function_definition(oid_at(args, 0))),
        "pg_get_function_sqlbody" => optional(session.session().function_body_text(oid_at(args, 0))),
        "pg_get_triggerdef" => {
            let pretty = args.get(1) == Some(&Datum::Bool(true));
            optional(session.session().trigger_definition(oid_at(args, 0), pretty))
        }
        "pg_get_userbyid" => {
            let oid = oid_at(args, 0);
            let role = catalog.role(oid).map(|role| role.name.to_string());
            Datum::text(role.unwrap_or_else(|| format!("unknown (OID={oid})")))
        }
        "pg_get_partkeydef" => {
            let table = catalog.relation(oid_at(args, 0));
            optional(table.and_then(|table| definitions::partition_key(table)))
        }
        "pg_get_partition_constraintdef" => match catalog.relation(oid_at(args, 0)) {
            Some(table) => optional(definitions::partition_constraint(catalog, table)?),
            None => Datum::Null,
        },
        "pg_partition_root" => partition_ancestors(catalog, oid_at(args, 0))
            .last()
            .map_or(Datum::Null, |oid| Datum::UInt32(oid.0)),
        "pg_get_statisticsobjdef_columns" | "pg_get_ruledef" => Datum::Null,
        "pg_relation_is_publishable" => Datum::Bool(
            catalog.relation(oid_at(args, 0)).is_some_and(|r| r.kind == RelationKind::Table && !r.builtin),
        ),
        "pg_tablespace_location" => Datum::text(""),
        "to_regclass" => {
            let parts = crate::session::split_dotted(text_at(args, 0));
            match session.state.find_by_parts(&parts) {
                Ok(Some(relation)) => Datum::UInt32(relation.oid.0),
                _ => Datum::Null,
            }
        }
        "to_regnamespace" => catalog
            .namespace_named(text_at(args, 0))
            .map_or(Datum::Null, |namespace| Datum::UInt32(namespace.oid.0)),
        "to_regrole" => {
            catalog.role_named(text_at(args, 0)).map_or(Datum::Null, |role| Datum::UInt32(role.oid.0))
        }
        _ => return Ok(None),
    }))
}

/// A stored expression as it is shown; several of them behind each other's lengths are joined by commas.
fn expression_text(stored_text: &str) -> Option<String> {
    if stored_text.is_empty() {
        return None;
    }
    match stored::split_expressions(stored_text) {
        Some(parts) => Some(parts.join(", ")),
        None => Some(stored_text.to_string()),
    }
}

/// Shows the relations that stored expressions name by object id under their names.
fn with_names(session: &StatementSession<'_>, text: &str) -> String {
    const CAST: &str = "'::regclass";
    let catalog = session.catalog();
    let names = session.state.catalog_names();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find(CAST) {
        let start = rest[..end].rfind('\'').map_or(end, |quote| quote + 1);
        let relation = rest[start..end].parse().ok().and_then(|oid| catalog.relation(Oid(oid)));
        out.push_str(&rest[..start]);
        match relation {
            Some(relation) => out.push_str(&names.relation(relation).replace('\'', "''")),
            None => out.push_str(&rest[start..end]),
        }
        out.push_str(CAST);
        rest = &rest[end + CAST.len()..];
    }
    out.push_str(rest);
    crate::ddl::named_text(catalog, &session.state.search_path(), &out)
}

fn serial_sequence(session: &StatementSession<'_>, args: &[Datum]) -> Result<Datum> {
    let parts = crate::session::split_dotted(text_at(args, 0));
    let table = session
        .state
        .find_by_parts(&parts)?
        .ok_or_else(|| crate::errors::undefined_table(text_at(args, 0)))?;
    let column = text_at(args, 1);
    let number = table
        .column_named(column)
        .ok_or_else(|| crate::errors::undefined_column(column, &table.name))?
        .number;
    let catalog = session.catalog();
    let owned = catalog.relations().find(|relation| {
        relation.sequence.as_ref().is_some_and(|sequence| sequence.owned_by == Some((table.oid, number)))
    });
    Ok(optional(owned.map(|sequence| {
        let namespace = catalog.namespace(sequence.namespace).map(|n| n.name.to_string());
        format!("{}.{}", quote_identifier(&namespace.unwrap_or_default()), quote_identifier(&sequence.name))
    })))
}

/// Functions about space on disk.
fn size(session: &StatementSession<'_>, name: &str, args: &[Datum]) -> Result<Option<Datum>> {
    let catalog = session.catalog();
    let main: &[Fork] = &[Fork::Main];
    let all: &[Fork] = &Fork::ALL;
    let relation = |forks: &[Fork], with_indexes: bool| -> Result<Datum> {
        let Some(relation) = catalog.relation(oid_at(args, 0)) else {
            return Ok(Datum::Null);
        };
        let mut bytes = relation_bytes(session, relation, forks)?;
        if with_indexes {
            for index in &relation.indexes {
                if let Some(index) = catalog.relation(index.oid) {
                    bytes += relation_bytes(session, index, all)?;
                }
            }
        }
        Ok(Datum::Int64(bytes))
    };
    Ok(Some(match name {
        "pg_relation_size" => match text_at(args, 1) {
            "" | "main" => relation(main, false)?,
            "fsm" => relation(&[Fork::FreeSpace], false)?,
            "vm" => relation(&[Fork::Visibility], false)?,
            "init" => Datum::Int64(0),
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid fork name \"{other}\""),
                )
                .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\"."));
            }
        },
        "pg_table_size" => relation(all, false)?,
        "pg_total_relation_size" => relation(all, true)?,
        "pg_indexes_size" => {
            let Some(relation) = catalog.relation(oid_at(args, 0)) else {
                return Ok(Some(Datum::Null));
            };
            let mut bytes = 0;
            for index in &relation.indexes {
                if let Some(index) = catalog.relation(index.oid) {
                    bytes += relation_bytes(session, index, all)?;
                }
            }
            Datum::Int64(bytes)
        }
        "pg_database_size" => {
            let oid = match &args[0] {
                Datum::UInt32(oid) => Oid(*oid),
                other => {
                    let name = other.as_str().unwrap_or_default();
                    catalog.database_named(name).ok_or_else(|| crate::errors::undefined_database(name))?.oid
                }
            };
            let files = session.state.instance.storage().files();
            let mut blocks = 0;
            for key in files.list()?.into_iter().filter(|key| key.database == oid) {
                for fork in Fork::ALL {
                    blocks += i64::from(files.block_count(key.fork(fork))?);
                }
            }
            Datum::Int64(blocks * ochre_base::limits::PAGE_SIZE as i64)
        }
        _ => return Ok(None),
    }))
}

fn relation_bytes(
    session: &StatementSession<'_>,
    relation: &RelationDescriptor,
    forks: &[Fork],
) -> Result<i64> {
    if relation.file.is_none() {
        return Ok(0);
    }
    let key = session.state.database.relation_key(relation)?;
    let files = session.state.instance.storage().files();
    let mut blocks = 0;
    for fork in forks {
        blocks += i64::from(files.block_count(key.fork(*fork))?);
    }
    Ok(blocks * ochre_base::limits::PAGE_SIZE as i64)
}

/// Functions about the system and other sessions.
fn system(session: &StatementSession<'_>, name: &str, args: &[Datum]) -> Result<Option<Datum>> {
    let instance = &session.state.instance;
    Ok(Some(match name {
        "pg_is_in_recovery" => Datum::Bool(false),
        "pg_encoding_to_char" => Datum::text(if args[0].as_i64() == Some(6) { "UTF8" } else { "" }),
        "pg_char_to_encoding" => {
            Datum::Int32(if text_at(args, 0).eq_ignore_ascii_case("utf8") { 6 } else { -1 })
        }
        "pg_client_encoding" | "getdatabaseencoding" => Datum::text("UTF8"),
        "pg_my_temp_schema" => Datum::UInt32(0),
        "pg_is_other_temp_schema" => Datum::Bool(false),
        "pg_conf_load_time" | "pg_postmaster_start_time" => Datum::Int64(instance.started_at()),
        "inet_client_addr" | "inet_server_addr" | "inet_client_port" | "inet_server_port" => Datum::Null,
        "pg_trigger_depth" => Datum::Int32(0),
        "pg_current_wal_lsn" | "pg_current_wal_insert_lsn" => {
            Datum::UInt64(instance.transactions().wal().position().0)
        }
        "pg_current_wal_flush_lsn" => Datum::UInt64(instance.transactions().wal().flushed().0),
        _ => return Ok(None),
    }))
}

/// Advisory locks.
fn advisory(session: &StatementSession<'_>, name: &str, args: &[Datum]) -> Result<Option<Datum>> {
    if !name.contains("advisory") {
        return Ok(None);
    }
    let state = session.state;
    let locks = state.instance.locks();
    let owner = locks.session(state.process_id);
    if name == "pg_advisory_unlock_all" {
        locks.unlock_all_advisory(&owner);
        return Ok(Some(Datum::text("")));
    }
    let first = args[0].as_i64().unwrap_or(0);
    let key = match args.get(1).and_then(Datum::as_i64) {
        Some(second) => AdvisoryKey::Pair(first as i32, second as i32),
        None => AdvisoryKey::Big(first),
    };
    let tag = LockTag::Advisory { database: state.database.oid(), key };
    let exclusive = !name.ends_with("_shared");
    if name.starts_with("pg_advisory_unlock") {
        let released = locks.unlock_advisory(&owner, tag, exclusive);
        if !released {
            state.notice(Error::with_severity(
                ochre_base::Severity::Warning,
                SqlState::WARNING,
                format!(
                    "you don't own a lock of type {}",
                    if exclusive { "ExclusiveLock" } else { "ShareLock" }
                ),
            ));
        }
        return Ok(Some(Datum::Bool(released)));
    }
    let level = if name.contains("_xact_") { LockLevel::Transaction } else { LockLevel::Session };
    let waiter = session.transaction()?.waiter();
    if name.starts_with("pg_try_") {
        let got = locks.lock_advisory(&owner, &waiter, tag, exclusive, level, LockWait::NoWait)?;
        return Ok(Some(Datum::Bool(got)));
    }
    locks.lock_advisory(&owner, &waiter, tag, exclusive, level, LockWait::Block)?;
    Ok(Some(Datum::text("")))
}

/// Calls a set-returning one.
///
/// # Errors
/// 0A000 for one that does not exist here.
pub(crate) fn call_set(
    session: &StatementSession<'_>,
    function: &Function,
    args: &[Datum],
) -> Result<Vec<Vec<Datum>>> {
    match &*function.name {
        "aclexplode" => Ok(authority::explode(args)),
        "pg_show_all_settings" => Ok(show_all_settings(session.state)),
        "pg_get_keywords" | "pg_available_extensions" | "pg_timezone_names" => {
            Err(Error::unsupported(format!("function {}", function.name)))
        }
        "pg_partition_ancestors" => {
            let all = partition_ancestors(session.catalog(), oid_at(args, 0));
            Ok(all.into_iter().map(|oid| vec![Datum::UInt32(oid.0)]).collect())
        }
        "pg_partition_tree" => Ok(partition_tree(session.catalog(), oid_at(args, 0))),
        "pg_cursor" => Ok(cursors(session.state)),
        "pg_prepared_statement" => Ok(prepared_statements(session.state)),
        "pg_listening_channels" => Ok(session.state.notices_of_session(|notices| {
            notices.channels().map(|channel| vec![Datum::text(&**channel)]).collect()
        })),
        "pg_prepared_xact" => Ok(prepared_transactions(session)),
        "pg_lock_status" => Ok(crate::monitor::lock_rows(&session.state.instance)),
        "pg_stat_get_activity" => {
            let process_id = args.first().and_then(Datum::as_i64).map(|pid| pid as i32);
            Ok(crate::monitor::activity_rows(session, process_id))
        }
        other => Err(Error::unsupported(format!("function {other}"))),
    }
}

/// A partition with the tables that it is a part of, itself first; also of partitioned tables and of indexes.
fn partition_ancestors(catalog: &CatalogSnapshot, oid: Oid) -> Vec<Oid> {
    let Some(relation) = catalog.relation(oid) else { return Vec::new() };
    let partitioned =
        matches!(relation.kind, RelationKind::PartitionedTable | RelationKind::PartitionedIndex);
    if !relation.is_partition() && !partitioned {
        return Vec::new();
    }
    let mut all = vec![oid];
    let mut current = relation;
    while let Some(parent) = current.inheritance.parents.first().and_then(|oid| catalog.relation(*oid)) {
        if !current.is_partition() || current.inheritance.detaching.is_some() {
            break;
        }
        all.push(parent.oid);
        current = parent;
    }
    all
}

/// `pg_partition_tree`: relation, parent, whether it has rows, and its level.
fn partition_tree(catalog: &CatalogSnapshot, root: Oid) -> Vec<Vec<Datum>> {
    if partition_ancestors(catalog, root).is_empty() {
        return Vec::new();
    }
    // A partition that was begun to be detached is no part any more.
    let is_detaching = |oid| catalog.relation(oid).is_some_and(|part| part.inheritance.detaching.is_some());
    let mut levels: Vec<(Oid, i32)> = vec![(root, 0)];
    let mut next = 0;
    while next < levels.len() {
        let (oid, level) = levels[next];
        let parts = catalog.children(oid).iter().filter(|child| !is_detaching(**child));
        levels.extend(parts.map(|child| (*child, level + 1)));
        next += 1;
    }
    let row = |(oid, level): (Oid, i32)| {
        let relation = catalog.relation(oid)?;
        let parent = relation.inheritance.parents.first();
        let parent = parent.filter(|_| relation.is_partition() && !is_detaching(oid));
        let leaf = !matches!(relation.kind, RelationKind::PartitionedTable | RelationKind::PartitionedIndex);
        Some(vec![
            Datum::UInt32(oid.0),
            parent.map_or(Datum::Null, |parent| Datum::UInt32(parent.0)),
            Datum::Bool(leaf),
            Datum::Int32(level),
        ])
    };
    levels.into_iter().filter_map(row).collect()
}

fn show_all_settings(state: &State) -> Vec<Vec<Datum>> {
    use crate::settings::Kind;
    let settings = state.settings.borrow();
    settings
        .all()
        .map(|(setting, value, reset, source)| {
            let text = |text: &str| Datum::text(text);
            let (unit, min, max) = match setting.kind {
                Kind::Integer { min, max, unit } => {
                    (unit.map(str::to_string), Some(min.to_string()), Some(max.to_string()))
                }
                Kind::Real { min, max } => (None, Some(min.to_string()), Some(max.to_string())),
                _ => (None, None, None),
            };
            let words = match setting.kind {
                Kind::Enum(words) => {
                    let elements = words.iter().map(|word| Datum::text(*word)).collect();
                    Datum::Array(Arc::new(ochre_types::ArrayValue::vector(
                        ochre_types::SqlType::TEXT,
                        elements,
                    )))
                }
                _ => Datum::Null,
            };
            vec![
                text(setting.name),
                text(value),
                optional(unit),
                text(setting.category),
                text(setting.description),
                Datum::Null,
                text(setting.context.word()),
                text(setting.kind.word()),
                text(source.word()),
                optional(min),
                optional(max),
                words,
                text(setting.default),
                text(reset),
                Datum::Null,
                Datum::Null,
                Datum::Bool(false),
            ]
        })
        .collect()
}

fn cursors(state: &State) -> Vec<Vec<Datum>> {
    let listings = state.listings.borrow();
    let rows = listings.cursors.iter().map(|(name, cursor)| {
        vec![
            Datum::text(&**name),
            Datum::text(&*cursor.statement),
            Datum::Bool(cursor.options.hold),
            Datum::Bool(cursor.options.binary),
            Datum::Bool(cursor.options.scroll != Scroll::No),
            Datum::Int64(cursor.created),
        ]
    });
    rows.collect()
}

fn prepared_statements(state: &State) -> Vec<Vec<Datum>> {
    use ochre_types::{ArrayValue, SqlType, oids::REGTYPE};
    let types = |oids: Vec<Oid>| {
        let elements = oids.into_iter().map(|oid| Datum::UInt32(oid.0)).collect();
        Datum::Array(Arc::new(ArrayValue::vector(SqlType::new(REGTYPE, -1), elements)))
    };
    let listings = state.listings.borrow();
    let rows = listings.prepared.iter().map(|(name, listing)| {
        let prepared = &listing.prepared;
        let (generic, custom) = prepared.plans.lock().counts();
        let results = prepared.shape.as_ref().map(|shape| shape.iter().map(|column| column.ty.oid).collect());
        vec![
            Datum::text(&**name),
            Datum::text(&*listing.statement),
            Datum::Int64(listing.created),
            types(prepared.parameters.iter().map(|ty| ty.oid).collect()),
            results.map_or(Datum::Null, types),
            Datum::Bool(listing.from_sql),
            Datum::Int64(generic as i64),
            Datum::Int64(custom as i64),
        ]
    });
    rows.collect()
}

fn prepared_transactions(session: &StatementSession<'_>) -> Vec<Vec<Datum>> {
    let catalog = session.catalog();
    let list = session.state.instance.prepared().list();
    let rows = list.into_iter().map(|prepared| {
        let facts = prepared.facts;
        vec![
            Datum::UInt32(prepared.xid as u32),
            Datum::text(&*facts.gid),
            Datum::Int64(facts.prepared_at),
            Datum::UInt32(catalog.role_named(&facts.owner).map_or(Oid::INVALID, |role| role.oid).0),
            Datum::UInt32(facts.database.0),
        ]
    });
    rows.collect()
}
