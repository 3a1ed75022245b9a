//! What `pg_locks`, `pg_stat_activity` and the functions about other sessions tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::oids;
use ochre_txn::locks::{AdvisoryKey, LockListing, LockTag};
use ochre_txn::{SerialGranule, SerialLockListing};
use ochre_types::{ArrayValue, Datum, SqlType};

use crate::activity::{Activity, ActivityState, ended_by};
use crate::instance::Instance;
use crate::session::context::StatementSession;

/// How often a session that was told to end is looked for.
const TERMINATION_POLL: Duration = Duration::from_millis(10);

/// The rows of `pg_lock_status()`.
pub(crate) fn lock_rows(instance: &Instance) -> Vec<Vec<Datum>> {
    let now = instance.now();
    let sessions = instance.sessions();
    let of = |process_id: i32| sessions.iter().find(|activity| activity.process_id == process_id);
    let mut rows: Vec<Vec<Datum>> = Vec::new();
    for listing in instance.locks().list() {
        // Names that are about to be given are a matter of our own.
        if !matches!(listing.tag, LockTag::Name { .. }) {
            let mut row = lock_row(instance, &listing, of(listing.process_id), now);
            if let LockTag::VirtualTransaction { process_id } = listing.tag {
                row[5] =
                    of(process_id).map_or(Datum::Null, |held_by| Datum::text(held_by.virtual_transaction()));
            }
            rows.push(row);
        }
    }
    for listing in instance.transactions().serializable_locks() {
        rows.push(predicate_lock_row(instance, &listing, of(listing.process_id)));
    }
    for activity in sessions.iter().filter(|activity| activity.transaction_started().is_some()) {
        let name = Datum::text(activity.virtual_transaction());
        let mut row = vec![Datum::Null; 16];
        row[0] = Datum::text("virtualxid");
        row[5] = name.clone();
        row[10] = name;
        row[11] = Datum::Int32(activity.process_id);
        row[12] = Datum::text("ExclusiveLock");
        row[13] = Datum::Bool(true);
        row[14] = Datum::Bool(true);
        rows.push(row);
    }
    rows
}

fn lock_row(
    instance: &Instance,
    listing: &LockListing,
    owner: Option<&Arc<Activity>>,
    now: i64,
) -> Vec<Datum> {
    let oid = |oid: Oid| Datum::UInt32(oid.0);
    let mut row = vec![Datum::Null; 16];
    row[0] = Datum::text(listing.tag.kind());
    match listing.tag {
        LockTag::Relation { database, relation } => {
            row[1] = oid(database);
            row[2] = oid(relation);
        }
        LockTag::Object { database, class, object } => {
            row[1] = oid(database);
            row[7] = oid(class);
            row[8] = oid(object);
            row[9] = Datum::Int16(0);
        }
        LockTag::Row { relation, row: place } => {
            row[1] = oid(relation.database);
            row[2] = instance.locks().relation_name(relation).map_or(Datum::Null, |(found, _)| oid(found));
            row[3] = Datum::Int32(place.block.0 as i32);
            row[4] = Datum::Int16(place.slot as i16 + 1);
        }
        LockTag::Advisory { database, key } => {
            let (high, low, kind) = match key {
                AdvisoryKey::Big(key) => ((key as u64 >> 32) as u32, key as u32, 1),
                AdvisoryKey::Pair(a, b) => (a as u32, b as u32, 2),
            };
            row[1] = oid(database);
            row[7] = Datum::UInt32(high);
            row[8] = Datum::UInt32(low);
            row[9] = Datum::Int16(kind);
        }
        LockTag::Transaction(xid) => row[6] = Datum::UInt32(xid.0 as u32),
        LockTag::VirtualTransaction { .. } | LockTag::Name { .. } => {}
    }
    row[10] = owner.map_or(Datum::Null, |owner| Datum::text(owner.virtual_transaction()));
    row[11] = Datum::Int32(listing.process_id);
    row[12] = Datum::text(listing.mode.name());
    row[13] = Datum::Bool(listing.granted);
    row[14] = Datum::Bool(listing.fast_path);
    row[15] = listing.waited.map_or(Datum::Null, |waited| Datum::Int64(now - waited.as_micros() as i64));
    row
}

/// What a serializable transaction has read. Keys of an index show as a page of it that has no number, because they are
/// locked as ranges.
fn predicate_lock_row(
    instance: &Instance,
    listing: &SerialLockListing,
    owner: Option<&Arc<Activity>>,
) -> Vec<Datum> {
    let mut row = vec![Datum::Null; 16];
    let (kind, block, slot) = match listing.granule {
        SerialGranule::Relation => ("relation", None, None),
        SerialGranule::Keys => ("page", None, None),
        SerialGranule::Page(block) => ("page", Some(block), None),
        SerialGranule::Row(row) => ("tuple", Some(row.block), Some(row.slot)),
    };
    let oid = instance.locks().relation_name(listing.relation).map(|(found, _)| found);
    row[0] = Datum::text(kind);
    row[1] = Datum::UInt32(listing.relation.database.0);
    row[2] = oid.map_or(Datum::Null, |oid| Datum::UInt32(oid.0));
    row[3] = block.map_or(Datum::Null, |block| Datum::Int32(block.0 as i32));
    row[4] = slot.map_or(Datum::Null, |slot| Datum::Int16(slot as i16 + 1));
    row[10] = owner.map_or(Datum::Null, |owner| Datum::text(owner.virtual_transaction()));
    row[11] = match listing.process_id {
        0 => Datum::Null,
        process_id => Datum::Int32(process_id),
    };
    row[12] = Datum::text("SIReadLock");
    row[13] = Datum::Bool(true);
    row[14] = Datum::Bool(false);
    row
}

/// The rows of `pg_stat_get_activity(pid)`; of all sessions for NULL.
pub(crate) fn activity_rows(session: &StatementSession<'_>, process_id: Option<i32>) -> Vec<Vec<Datum>> {
    let catalog = session.catalog();
    let roles = session.state.roles();
    let sees_all = roles.has_role(oids::PG_READ_ALL_STATS);
    let all = session.state.instance.sessions();
    let wanted =
        all.into_iter().filter(|activity| process_id.is_none_or(|wanted| wanted == activity.process_id));
    wanted
        .map(|activity| {
            let state = activity.state();
            let wait = activity.interrupt().wait_event().map(ochre_txn::WaitEvent::names);
            let wait = wait.or((state != ActivityState::Active).then_some(("Client", "ClientRead")));
            let text = |text: Option<&str>| text.map_or(Datum::Null, Datum::text);
            let xid = activity.interrupt().xid();
            let role = catalog.role_named(&activity.user).map(|role| role.oid);
            let mut row = vec![Datum::Null; 31];
            row[0] = Datum::UInt32(activity.database.0);
            row[1] = Datum::Int32(activity.process_id);
            row[2] = role.map_or(Datum::Null, |role| Datum::UInt32(role.0));
            if !sees_all && !role.is_some_and(|role| roles.has_role(role)) {
                // What others do is theirs.
                row[5] = Datum::text("<insufficient privilege>");
                return row;
            }
            row[3] = Datum::text(activity.application_name());
            row[4] = Datum::text(state.words());
            row[5] = Datum::text(activity.query());
            row[6] = text(wait.map(|(kind, _)| kind));
            row[7] = text(wait.map(|(_, event)| event));
            row[8] = activity.transaction_started().map_or(Datum::Null, Datum::Int64);
            row[9] = Datum::Int64(activity.statement_started());
            row[10] = Datum::Int64(activity.started);
            row[11] = Datum::Int64(activity.state_changed());
            row[14] = Datum::Int32(-1);
            row[15] = if xid.is_valid() { Datum::UInt32(xid.0 as u32) } else { Datum::Null };
            row[17] = Datum::text("client backend");
            row[18] = Datum::Bool(false);
            row[25] = Datum::Bool(false);
            row[27] = Datum::Bool(false);
            row[28] = Datum::Bool(false);
            row
        })
        .collect()
}

/// Functions about other sessions.
///
/// # Errors
/// Those of the function.
pub(crate) fn call(session: &StatementSession<'_>, name: &str, args: &[Datum]) -> Result<Option<Datum>> {
    let instance = &session.state.instance;
    let process_id = args.first().and_then(Datum::as_i64).unwrap_or(0) as i32;
    Ok(Some(match name {
        "pg_cancel_backend" => Datum::Bool(cancel(session, process_id)?),
        "pg_terminate_backend" => {
            let timeout = args.get(1).and_then(Datum::as_i64).unwrap_or(0);
            Datum::Bool(terminate(session, process_id, timeout)?)
        }
        "pg_blocking_pids" => {
            let pids = instance.locks().blocking_process_ids(process_id);
            let elements = pids.into_iter().map(Datum::Int32).collect();
            Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, elements)))
        }
        "pg_safe_snapshot_blocking_pids" => {
            Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, Vec::new())))
        }
        "pg_isolation_test_session_is_blocked" => {
            let interesting: Vec<i64> = match args.get(1) {
                Some(Datum::Array(array)) => array.elements.iter().filter_map(Datum::as_i64).collect(),
                _ => Vec::new(),
            };
            let blockers = instance.locks().blocking_process_ids(process_id);
            Datum::Bool(blockers.into_iter().any(|pid| interesting.contains(&i64::from(pid))))
        }
        "pg_export_snapshot" => Datum::text(session.export_snapshot()?),
        _ => return Ok(None),
    }))
}

fn find(session: &StatementSession<'_>, process_id: i32) -> Option<Arc<Activity>> {
    let found = session.state.instance.activity(process_id);
    if found.is_none() {
        session.state.notice(Error::with_severity(
            Severity::Warning,
            SqlState::WARNING,
            format!("PID {process_id} is not a PostgreSQL backend process"),
        ));
    }
    found
}

/// Fails unless the acting role may end what another session does.
fn require_signal(session: &StatementSession<'_>, activity: &Activity, ends: bool) -> Result<()> {
    let catalog = session.catalog();
    let roles = session.state.roles();
    let target = catalog.role_named(&activity.user);
    let (what, whose, of, doing, it) = match ends {
        true => {
            ("terminate process", "process", "terminate processes", "terminated", "terminate this process")
        }
        false => ("cancel query", "query", "cancel queries", "canceled", "cancel this query"),
    };
    let detail = if target.is_some_and(|target| target.superuser) && !roles.superuser {
        format!("Only roles with the SUPERUSER attribute may {of} of roles with the SUPERUSER attribute.")
    } else if roles.has_role(oids::PG_SIGNAL_BACKEND)
        || target.is_some_and(|target| roles.has_role(target.oid))
    {
        return Ok(());
    } else {
        format!(
            "Only roles with privileges of the role whose {whose} is being {doing} or with privileges of the \"pg_signal_backend\" role may {it}."
        )
    };
    Err(crate::authority::forbidden(format!("permission denied to {what}")).detail(detail))
}

fn cancel(session: &StatementSession<'_>, process_id: i32) -> Result<bool> {
    let Some(activity) = find(session, process_id) else { return Ok(false) };
    require_signal(session, &activity, false)?;
    activity.cancel(user_cancel());
    // It may have been the own one.
    session.state.interrupt.check()?;
    Ok(true)
}

fn terminate(session: &StatementSession<'_>, process_id: i32, timeout_ms: i64) -> Result<bool> {
    let timeout_ms = u64::try_from(timeout_ms)
        .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"timeout\" must not be negative"))?;
    let Some(activity) = find(session, process_id) else { return Ok(false) };
    require_signal(session, &activity, true)?;
    activity.terminate(ended_by(SqlState::ADMIN_SHUTDOWN, "administrator command"));
    session.state.interrupt.check()?;
    if timeout_ms == 0 {
        return Ok(true);
    }
    let until = Instant::now() + Duration::from_millis(timeout_ms);
    let instance = &session.state.instance;
    while instance.activity(process_id).is_some() {
        if Instant::now() >= until {
            session.state.notice(Error::with_severity(
                Severity::Warning,
                SqlState::WARNING,
                format!("backend with PID {process_id} did not terminate within {timeout_ms} milliseconds"),
            ));
            return Ok(false);
        }
        session.state.interrupt.check()?;
        let waiting = &instance.storage().env().wait;
        session.state.interrupt.wait_until(waiting, Some(Instant::now() + TERMINATION_POLL));
    }
    Ok(true)
}

/// What a cancelled statement fails with.
#[cold]
pub(crate) fn user_cancel() -> Error {
    Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}
