//! What a session knows of itself, settings, sequences, catalog questions, random numbers, series.
//!
//! Functions that only the engine can answer are listed in [`SESSION`]: a call of them goes to
//! [`crate::SessionContext::call`].

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_types::{
    ArrayValue, Datum, Interval, Numeric, PhysicalType, SqlType, TimeZone, datetime as dt, oids, parse_text,
    type_info, typmod,
};

use super::Implementations;
use super::kernels::Text;
use crate::errors::{invalid_parameter, wrong_form};
use crate::eval::DatumSet;
use crate::{CallContext, EvalContext, Implementation, SessionValue};

/// Functions that the session answers, by source.
#[rustfmt::skip]
const SESSION: &[&str] = &[
    // Definitions.
    "pg_get_viewdef", "pg_get_viewdef_ext", "pg_get_viewdef_name", "pg_get_viewdef_name_ext", "pg_get_viewdef_wrap",
    "gin_clean_pending_list",
    "pg_get_indexdef", "pg_get_indexdef_ext", "pg_get_constraintdef", "pg_get_constraintdef_ext", "pg_get_expr", "pg_get_expr_ext",
    "pg_get_triggerdef", "pg_get_triggerdef_ext", "pg_get_ruledef", "pg_get_ruledef_ext", "pg_get_functiondef",
    "pg_get_function_arguments", "pg_get_function_identity_arguments", "pg_get_function_result", "pg_get_function_arg_default",
    "pg_get_function_sqlbody", "pg_get_partkeydef", "pg_get_partition_constraintdef", "pg_get_statisticsobjdef",
    "pg_get_statisticsobjdef_columns", "pg_get_statisticsobjdef_expressions", "pg_get_serial_sequence",
    "pg_get_replica_identity_index", "pg_describe_object", "pg_identify_object", "pg_identify_object_as_address",
    "obj_description(26 19)", "obj_description(26)", "col_description(26 23)", "shobj_description(26 19)",
    "pg_table_is_visible", "pg_type_is_visible", "pg_function_is_visible", "pg_operator_is_visible", "pg_opclass_is_visible",
    "pg_opfamily_is_visible", "pg_conversion_is_visible", "pg_collation_is_visible", "pg_ts_parser_is_visible",
    "pg_ts_dict_is_visible", "pg_ts_template_is_visible", "pg_ts_config_is_visible", "pg_statistics_obj_is_visible",
    "pg_relation_is_updatable", "pg_column_is_updatable", "pg_relation_is_publishable", "pg_index_column_has_property",
    "pg_index_has_property", "pg_indexam_has_property", "pg_sequence_parameters", "pg_sequence_last_value",
    "pg_tablespace_location", "pg_relation_filenode", "pg_relation_filepath", "pg_filenode_relation", "pg_partition_root",
    "pg_partition_tree", "pg_partition_ancestors", "row_security_active", "row_security_active_name",
    "pg_my_temp_schema", "pg_is_other_temp_schema", "pg_options_to_table",
    // Sizes.
    "pg_relation_size", "pg_relation_size(2205)", "pg_table_size", "pg_indexes_size", "pg_total_relation_size", "pg_database_size_oid",
    "pg_database_size_name", "pg_tablespace_size_oid", "pg_tablespace_size_name", "pg_column_compression", "pg_column_toast_chunk_id",
    // Privileges.
    "has_table_privilege_name_name", "has_table_privilege_name_id", "has_table_privilege_id_name", "has_table_privilege_id_id",
    "has_table_privilege_name", "has_table_privilege_id", "has_sequence_privilege_name_name", "has_sequence_privilege_name_id",
    "has_sequence_privilege_id_name", "has_sequence_privilege_id_id", "has_sequence_privilege_name", "has_sequence_privilege_id",
    "has_column_privilege_name_name_name", "has_column_privilege_name_name_attnum", "has_column_privilege_name_id_name",
    "has_column_privilege_name_id_attnum", "has_column_privilege_id_name_name", "has_column_privilege_id_name_attnum",
    "has_column_privilege_id_id_name", "has_column_privilege_id_id_attnum", "has_column_privilege_name_name",
    "has_column_privilege_name_attnum", "has_column_privilege_id_name", "has_column_privilege_id_attnum",
    "has_any_column_privilege_name_name", "has_any_column_privilege_name_id", "has_any_column_privilege_id_name",
    "has_any_column_privilege_id_id", "has_any_column_privilege_name", "has_any_column_privilege_id",
    "has_database_privilege_name_name", "has_database_privilege_name_id", "has_database_privilege_id_name",
    "has_database_privilege_id_id", "has_database_privilege_name", "has_database_privilege_id",
    "has_schema_privilege_name_name", "has_schema_privilege_name_id", "has_schema_privilege_id_name",
    "has_schema_privilege_id_id", "has_schema_privilege_name", "has_schema_privilege_id",
    "has_function_privilege_name_name", "has_function_privilege_name_id", "has_function_privilege_id_name",
    "has_function_privilege_id_id", "has_function_privilege_name", "has_function_privilege_id",
    "has_language_privilege_name_name", "has_language_privilege_name_id", "has_language_privilege_id_name",
    "has_language_privilege_id_id", "has_language_privilege_name", "has_language_privilege_id",
    "has_type_privilege_name_name", "has_type_privilege_name_id", "has_type_privilege_id_name", "has_type_privilege_id_id",
    "has_type_privilege_name", "has_type_privilege_id", "has_tablespace_privilege_name_name",
    "has_tablespace_privilege_name_id", "has_tablespace_privilege_id_name", "has_tablespace_privilege_id_id",
    "has_tablespace_privilege_name", "has_tablespace_privilege_id", "pg_has_role_name_name", "pg_has_role_name_id",
    "pg_has_role_id_name", "pg_has_role_id_id", "pg_has_role_name", "pg_has_role_id",
    // The backend and the server.
    "pg_cancel_backend", "pg_terminate_backend", "pg_reload_conf", "pg_postmaster_start_time", "pg_conf_load_time",
    "pg_is_in_recovery", "pg_blocking_pids", "pg_safe_snapshot_blocking_pids", "pg_isolation_test_session_is_blocked",
    "pg_lock_status", "pg_prepared_xact", "pg_prepared_statement", "pg_cursor",
    "pg_stat_get_activity", "pg_stat_get_backend_idset", "pg_stat_get_backend_activity", "pg_export_snapshot",
    "pg_current_snapshot", "pg_xact_status", "pg_current_wal_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_flush_lsn",
    "pg_switch_wal", "pg_notify", "pg_listening_channels", "pg_notification_queue_usage", "current_query",
    "pg_advisory_lock_int8", "pg_advisory_lock_int4", "pg_advisory_lock_shared_int8", "pg_advisory_lock_shared_int4",
    "pg_advisory_unlock_int8", "pg_advisory_unlock_int4", "pg_advisory_unlock_shared_int8", "pg_advisory_unlock_shared_int4",
    "pg_advisory_unlock_all", "pg_advisory_xact_lock_int8", "pg_advisory_xact_lock_int4",
    "pg_advisory_xact_lock_shared_int8", "pg_advisory_xact_lock_shared_int4", "pg_try_advisory_lock_int8",
    "pg_try_advisory_lock_int4", "pg_try_advisory_lock_shared_int8", "pg_try_advisory_lock_shared_int4",
    "pg_try_advisory_xact_lock_int8", "pg_try_advisory_xact_lock_int4", "pg_try_advisory_xact_lock_shared_int8",
    "pg_try_advisory_xact_lock_shared_int4", "pg_timezone_names", "pg_timezone_abbrevs_zone", "pg_timezone_abbrevs_abbrevs",
    "show_all_settings", "pg_get_keywords", "pg_get_catalog_foreign_keys", "pg_config", "pg_stat_file",
    "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port",
    "pg_stat_get_numscans", "pg_stat_get_tuples_returned", "pg_stat_get_tuples_fetched", "pg_stat_get_tuples_inserted",
    "pg_stat_get_tuples_hot_updated", "pg_stat_get_tuples_newpage_updated", "pg_stat_get_mod_since_analyze",
    "pg_stat_get_ins_since_vacuum", "pg_stat_get_lastscan", "pg_stat_get_last_vacuum_time", "pg_stat_get_last_autovacuum_time",
    "pg_stat_get_last_analyze_time", "pg_stat_get_last_autoanalyze_time", "pg_stat_get_vacuum_count",
    "pg_stat_get_autovacuum_count", "pg_stat_get_analyze_count", "pg_stat_get_autoanalyze_count",
    "pg_stat_get_total_vacuum_time", "pg_stat_get_total_autovacuum_time", "pg_stat_get_total_analyze_time",
    "pg_stat_get_total_autoanalyze_time",
    "pg_stat_get_tuples_updated", "pg_stat_get_tuples_deleted", "pg_stat_get_live_tuples", "pg_stat_get_dead_tuples",
    "pg_stat_get_db_numbackends", "pg_stat_get_db_xact_commit", "pg_stat_get_db_xact_rollback", "aclexplode", "acldefault_sql",
    "pg_get_acl", "makeaclitem", "pg_event_trigger_dropped_objects", "pg_trigger_depth", "amvalidate",
];

pub(super) fn register(r: &mut Implementations) {
    for source in SESSION {
        r.add(source, Implementation::Session);
    }
    identity(r);
    settings(r);
    sequences(r);
    types(r);
    random(r);
    series(r);
    sizes(r);
}

fn names(list: Vec<String>) -> Datum {
    let names = list.into_iter().map(Datum::text).collect();
    Datum::Array(ArrayValue::vector(SqlType::NAME, names).into())
}

#[rustfmt::skip]
fn identity(r: &mut Implementations) {
    r.row("satisfies_hash_partition", satisfies_hash_partition);
    r.row("pgsql_version", |call, _| Ok(Datum::text(call.eval.session.version())));
    r.row("current_database", |call, _| Ok(Datum::text(call.eval.session.database())));
    r.row("current_user", |call, _| Ok(Datum::text(call.eval.session.current_user())));
    r.row("session_user", |call, _| Ok(Datum::text(call.eval.session.session_user())));
    r.row("system_user", |_, _| Ok(Datum::Null));
    r.row("current_schema", |call, _| Ok(current_schema(call.eval)));
    r.row("current_schemas", |call, args| Ok(names(call.eval.session.search_path(args[0] == Datum::Bool(true)))));
    r.row("pg_backend_pid", |call, _| Ok(Datum::Int32(call.eval.session.backend_pid())));
    r.row("pg_current_xact_id", |call, _| {
        let xid = call.eval.session.transaction_id()?;
        Ok(if call.result.physical == PhysicalType::UInt64 { Datum::UInt64(xid) } else { Datum::Int64(xid as i64) })
    });
    r.row("pg_current_xact_id_if_assigned", |call, _| {
        let Some(xid) = call.eval.session.transaction_id_if_assigned() else { return Ok(Datum::Null) };
        Ok(if call.result.physical == PhysicalType::UInt64 { Datum::UInt64(xid) } else { Datum::Int64(xid as i64) })
    });
    r.row("pg_get_userbyid", |call, args| {
        let oid = oid(&args[0])?;
        Ok(Datum::text(call.eval.session.role_name(oid).unwrap_or_else(|| format!("unknown (OID={oid})"))))
    });
    r.f1::<i32, &'static str>("PG_encoding_to_char", |code| Ok(encoding_name(code)));
    r.f1::<Text, i32>("PG_char_to_encoding", |name| Ok((0..42).find(|code| encoding_name(*code).eq_ignore_ascii_case(name)).unwrap_or(-1)));
    r.row("pg_jit_available", |_, _| Ok(Datum::Bool(false)));
    r.row("pg_sleep", |call, args| {
        let Datum::Float64(seconds) = args[0] else { return Err(wrong_form("float8")) };
        call.eval.session.sleep((seconds * 1e6) as i64)?;
        Ok(Datum::text(""))
    });
    r.row("pg_sleep_for(1186)", |call, args| {
        let Datum::Interval(span) = args[0] else { return Err(wrong_form("an interval")) };
        let micros = span.micros + (i64::from(span.days) + i64::from(span.months) * 30) * dt::USECS_PER_DAY;
        call.eval.session.sleep(micros)?;
        Ok(Datum::text(""))
    });
    r.row("pg_sleep_until(1184)", |call, args| {
        let Datum::Int64(until) = args[0] else { return Err(wrong_form("a timestamp")) };
        call.eval.session.sleep((until - call.eval.session.clock_timestamp()).max(0))?;
        Ok(Datum::text(""))
    });
}

fn current_schema(eval: &EvalContext<'_>) -> Datum {
    eval.session.search_path(false).into_iter().next().map_or(Datum::Null, Datum::text)
}

/// PostgreSQL's encodings, in the order of their numbers.
const ENCODINGS: [&str; 42] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
    "SJIS",
    "BIG5",
    "GBK",
    "UHC",
    "GB18030",
    "JOHAB",
    "SHIFT_JIS_2004",
];

/// Other names of encodings.
const ENCODING_ALIASES: [&str; 28] = [
    "abc",
    "alt",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88599",
    "koi8",
    "mskanji",
    "shiftjis",
    "tcvn",
    "tcvn5712",
    "unicode",
    "vscii",
    "win",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1252",
    "windows1251",
    "windows1250",
    "windows866",
];

fn encoding_name(code: i32) -> &'static str {
    usize::try_from(code).ok().and_then(|code| ENCODINGS.get(code)).copied().unwrap_or("")
}

/// Checks the name of an encoding that text is to be converted from, or to: there is only one here. `role` says what it is in
/// the error.
pub(super) fn require_utf8(encoding: &str, role: &str) -> Result<()> {
    let plain = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(encoding);
    if matches!(wanted.as_str(), "utf8" | "unicode") {
        return Ok(());
    }
    if ENCODINGS.iter().any(|known| plain(known) == wanted) || ENCODING_ALIASES.contains(&wanted.as_str()) {
        return Err(Error::unsupported(format_args!("the encoding {encoding}")));
    }
    let message = format!("invalid {role}encoding name \"{encoding}\"");
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
}

pub(crate) fn oid(datum: &Datum) -> Result<Oid> {
    if let Datum::UInt32(oid) = datum { Ok(Oid(*oid)) } else { Err(wrong_form("an oid")) }
}

#[rustfmt::skip]
fn settings(r: &mut Implementations) {
    r.c1::<Text, String>("show_config_by_name", |call, name| {
        call.eval.session.setting(name)?.ok_or_else(|| unknown_setting(name))
    });
    r.c2::<Text, bool, Option<String>>("show_config_by_name_missing_ok", |call, name, missing_ok| {
        match call.eval.session.setting(name)? {
            None if !missing_ok => Err(unknown_setting(name)),
            value => Ok(value),
        }
    });
    r.row("set_config_by_name", |call, args| {
        let Some(name) = args[0].as_str() else {
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name"));
        };
        let value = call.eval.session.set_setting(name, args[1].as_str(), args[2] == Datum::Bool(true))?;
        Ok(Datum::text(value))
    });
}

fn unknown_setting(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

#[rustfmt::skip]
fn sequences(r: &mut Implementations) {
    r.c1::<u32, i64>("nextval_oid", |call, sequence| call.eval.session.nextval(Oid(sequence)));
    r.c1::<u32, i64>("currval_oid", |call, sequence| call.eval.session.currval(Oid(sequence)));
    r.c2::<u32, i64, i64>("setval_oid", |call, sequence, value| call.eval.session.setval(Oid(sequence), value, true));
    r.c3::<u32, i64, bool, i64>("setval3_oid", |call, sequence, value, is_called| call.eval.session.setval(Oid(sequence), value, is_called));
    r.row("lastval", |call, _| Ok(Datum::Int64(call.eval.session.lastval()?)));
}

/// `format_type(oid, typmod)`.
pub(crate) fn format_type(eval: &EvalContext<'_>, oid: Oid, modifier: i32) -> String {
    if !oid.is_valid() {
        return "-".to_owned();
    }
    if type_info(oid).is_some() {
        return typmod::format_type(oid, modifier);
    }
    eval.session.user_type_name(oid, modifier).unwrap_or_else(|| "???".to_owned())
}

#[rustfmt::skip]
fn types(r: &mut Implementations) {
    r.row("format_type", |call, args| {
        let Datum::UInt32(ty) = args[0] else { return Ok(Datum::Null) };
        let modifier = args[1].as_i64().map_or(-1, |value| value as i32);
        Ok(Datum::text(format_type(call.eval, Oid(ty), modifier)))
    });
    r.row("pg_typeof", |call, _| Ok(Datum::UInt32(call.arg_types.first().map_or(0, |ty| ty.oid.0))));
    r.row("pg_basetype", |_, args| Ok(args[0].clone()));
    r.row("pg_column_size", |_, args| {
        Ok(Datum::Int32(ochre_types::store::encoded_len(&args[0]) as i32))
    });
    r.c1::<Text, u32>("text_regclass", |call, name| reg_in(call, oids::REGCLASS, name));
    for (source, ty) in [
        ("to_regclass", oids::REGCLASS), ("to_regtype", oids::REGTYPE), ("to_regproc", oids::REGPROC),
        ("to_regprocedure", oids::REGPROCEDURE), ("to_regoper", oids::REGOPER), ("to_regoperator", oids::REGOPERATOR),
        ("to_regnamespace", oids::REGNAMESPACE), ("to_regrole", oids::REGROLE), ("to_regcollation", oids::REGCOLLATION),
    ] {
        r.c1::<Text, Option<u32>>(source, move |call, name| {
            if name.bytes().all(|b| b.is_ascii_digit()) { return Ok(None); }
            Ok(reg_in(call, ty, name).ok())
        });
    }
    r.c2::<Text, Text, bool>("pg_input_is_valid", |call, text, name| Ok(parse_input(call, text, name)?.is_ok()));
    r.row("pg_input_error_info", |call, args| {
        let (text, name) = (args[0].as_str().unwrap_or_default(), args[1].as_str().unwrap_or_default());
        let fields: [Datum; 4] = match parse_input(call, text, name)? {
            Ok(_) => std::array::from_fn(|_| Datum::Null),
            Err(error) => {
                let optional = |text: &Option<String>| text.clone().map_or(Datum::Null, Datum::text);
                let fields = error.fields();
                [Datum::text(fields.message.clone()), optional(&fields.detail), optional(&fields.hint), Datum::text(fields.sqlstate.as_str())]
            }
        };
        Ok(Datum::Record(fields.into()))
    });
}

fn reg_in(call: &CallContext<'_, '_>, ty: Oid, name: &str) -> Result<u32> {
    match parse_text(SqlType::new(ty, -1), name, call.eval.session.format())? {
        Datum::UInt32(oid) => Ok(oid),
        _ => Err(wrong_form("an oid")),
    }
}

/// Reads a text as the named type; the outer error is about the type's name.
fn parse_input(call: &CallContext<'_, '_>, text: &str, name: &str) -> Result<Result<Datum>> {
    let context = call.eval.session.format();
    let (base, modifier) = name.split_once('(').map_or((name, None), |(base, rest)| (base, Some(rest)));
    let oid = match ochre_types::type_info_named(base.trim()) {
        Some(info) => info.oid.0,
        None => reg_in(call, oids::REGTYPE, base.trim())?,
    };
    let typmod = match modifier {
        None => -1,
        Some(list) => {
            let numbers: Vec<i32> = list
                .trim_end_matches(')')
                .split(',')
                .filter_map(|number| number.trim().parse().ok())
                .collect();
            typmod::parse(Oid(oid), &numbers)?
        }
    };
    Ok(parse_text(SqlType::new(Oid(oid), typmod), text, context))
}

#[rustfmt::skip]
fn random(r: &mut Implementations) {
    r.row("drandom", |call, _| Ok(Datum::Float64(call.eval.session.random())));
    r.row("setseed", |call, args| {
        let Datum::Float64(seed) = args[0] else { return Err(wrong_form("float8")) };
        if !(-1.0..=1.0).contains(&seed) {
            return Err(invalid_parameter(format!("setseed parameter {seed} is out of allowed range [-1,1]")));
        }
        call.eval.session.set_random_seed(seed)?;
        Ok(Datum::text(""))
    });
    r.row("drandom_normal", |call, args| {
        let (Datum::Float64(mean), Datum::Float64(deviation)) = (&args[0], &args[1]) else { return Err(wrong_form("float8")) };
        // Box and Muller; 1 - u keeps the logarithm's argument above zero.
        let (u, v) = (1.0 - call.eval.session.random(), call.eval.session.random());
        Ok(Datum::Float64(mean + deviation * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()))
    });
    r.c2::<i32, i32, i32>("int4random", |call, low, high| random_between(call, low.into(), high.into()).map(|v| v as i32));
    r.c2::<i64, i64, i64>("int8random", random_between);
    r.row("gen_random_uuid", |call, _| Ok(Datum::Uuid(random_uuid(call))));
    r.row("uuidv7", |call, _| Ok(Datum::Uuid(ordered_uuid(call, call.eval.session.clock_timestamp()))));
    r.c1::<Interval, [u8; 16]>("uuidv7_interval", |call, shift| {
        let moment = dt::timestamptz_add(call.eval.session.clock_timestamp(), shift, &TimeZone::utc())?;
        Ok(ordered_uuid(call, moment))
    });
    r.f1::<[u8; 16], Option<i16>>("uuid_extract_version", |uuid| Ok((uuid[8] & 0xc0 == 0x80).then_some(i16::from(uuid[6] >> 4))));
    r.f1::<[u8; 16], Option<i64>>("uuid_extract_timestamp", |uuid| {
        if uuid[8] & 0xc0 != 0x80 { return Ok(None); }
        let bytes = |range: std::ops::Range<usize>| uuid[range].iter().fold(0u64, |v, b| v << 8 | u64::from(*b));
        match uuid[6] >> 4 {
            7 => Ok(Some(bytes(0..6) as i64 * 1000 - UNIX_TO_2000_MICROS)),
            1 => {
                // Hundreds of nanoseconds since 1582-10-15.
                let ticks = (bytes(6..8) & 0xfff) << 48 | bytes(4..6) << 32 | bytes(0..4);
                Ok(Some((ticks / 10) as i64 - 13_165_977_600_000_000))
            }
            _ => Ok(None),
        }
    });
}

/// Microseconds from 1970-01-01 to 2000-01-01.
const UNIX_TO_2000_MICROS: i64 = 946_684_800_000_000;

fn random_between(call: &CallContext<'_, '_>, low: i64, high: i64) -> Result<i64> {
    if low > high {
        return Err(invalid_parameter("lower bound must be less than or equal to upper bound"));
    }
    let range = high.wrapping_sub(low) as u64;
    if range == u64::MAX {
        return Ok(call.eval.session.random_bits() as i64);
    }
    // The widening product maps the bits onto the range with a bias below 2^-53 of it.
    let bits = (call.eval.session.random() * (1u64 << 53) as f64) as u128;
    Ok(low.wrapping_add(((bits * (u128::from(range) + 1)) >> 53) as i64))
}

fn random_uuid(call: &CallContext<'_, '_>) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&call.eval.session.random_bits().to_le_bytes());
    uuid[8..].copy_from_slice(&call.eval.session.random_bits().to_le_bytes());
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// Version 7: milliseconds since 1970, a fraction of the millisecond, random bits.
fn ordered_uuid(call: &CallContext<'_, '_>, timestamp: i64) -> [u8; 16] {
    let mut uuid = random_uuid(call);
    let micros = timestamp.wrapping_add(UNIX_TO_2000_MICROS);
    uuid[..6].copy_from_slice(&micros.div_euclid(1000).to_be_bytes()[2..]);
    let fraction = (micros.rem_euclid(1000) * 4096 / 1000) as u16;
    uuid[6] = 0x70 | (fraction >> 8) as u8;
    uuid[7] = fraction as u8;
    uuid
}

/// An arithmetic progression of 64-bit integers; it ends before it would overflow.
fn progression(start: i64, stop: i64, step: i64) -> impl Iterator<Item = i64> + Send {
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let value = next.filter(|value| if step > 0 { *value <= stop } else { *value >= stop })?;
        next = value.checked_add(step);
        Some(value)
    })
}

#[cold]
fn zero_step() -> Error {
    invalid_parameter("step size cannot equal zero")
}

#[rustfmt::skip]
fn series(r: &mut Implementations) {
    for source in ["generate_series_int4", "generate_series_step_int4"] {
        r.set(source, |_, args| {
            let (start, stop, step) = bounds(args)?;
            let values = progression(start, stop, step).map_while(|v| i32::try_from(v).ok()).map(|v| Ok(Datum::Int32(v)));
            Ok(Box::new(DatumSet::new(PhysicalType::Int32, values)))
        });
    }
    for source in ["generate_series_int8", "generate_series_step_int8"] {
        r.set(source, |_, args| {
            let (start, stop, step) = bounds(args)?;
            Ok(Box::new(DatumSet::new(PhysicalType::Int64, progression(start, stop, step).map(|v| Ok(Datum::Int64(v))))))
        });
    }
    for source in ["generate_series_numeric", "generate_series_step_numeric"] {
        r.set(source, |_, args| numeric_series(args));
    }
    r.set("generate_series_timestamp", |_, args| time_series(args, None));
    r.set("generate_series_timestamptz", |call, args| time_series(args, Some(call.eval.session.format().time_zone.clone())));
    r.set("generate_series_timestamptz_at_zone", |_, args| {
        let zone = super::datetime::named_zone(args[3].as_str().unwrap_or_default())?;
        time_series(args, Some(zone))
    });
}

fn bounds(args: &[Datum]) -> Result<(i64, i64, i64)> {
    let number = |datum: &Datum| datum.as_i64().ok_or_else(|| wrong_form("an integer"));
    let step = args.get(2).map_or(Ok(1), number)?;
    if step == 0 {
        return Err(zero_step());
    }
    Ok((number(&args[0])?, number(&args[1])?, step))
}

fn numeric_series(args: &[Datum]) -> Result<Box<dyn crate::SetCursor>> {
    let number = |datum: Option<&Datum>| match datum {
        Some(Datum::Numeric(value)) => Ok(value.clone()),
        None => Ok(Numeric::ONE),
        Some(_) => Err(wrong_form("a numeric")),
    };
    let (start, stop, step) = (number(args.first())?, number(args.get(1))?, number(args.get(2))?);
    for (value, what) in [(&start, "start"), (&stop, "stop"), (&step, "step")] {
        let what = if what == "step" { "step size" } else { &format!("{what} value") };
        if value.is_nan() {
            return Err(invalid_parameter(format!("{what} cannot be NaN")));
        }
        if value.is_infinite() {
            return Err(invalid_parameter(format!("{what} cannot be infinity")));
        }
    }
    let direction = step.compare(&Numeric::ZERO);
    if direction.is_eq() {
        return Err(zero_step());
    }
    let mut next = Some(start);
    let values = std::iter::from_fn(move || {
        let value = next.take()?;
        let order = value.compare(&stop);
        if (direction.is_gt() && order.is_gt()) || (direction.is_lt() && order.is_lt()) {
            return None;
        }
        match value.add(&step) {
            Ok(after) => next = Some(after),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(Datum::Numeric(value)))
    });
    Ok(Box::new(DatumSet::new(PhysicalType::Numeric, values)))
}

fn time_series(args: &[Datum], zone: Option<TimeZone>) -> Result<Box<dyn crate::SetCursor>> {
    let (Datum::Int64(start), Datum::Int64(stop), Datum::Interval(step)) = (&args[0], &args[1], &args[2])
    else {
        return Err(wrong_form("a timestamp"));
    };
    let (stop, step) = (*stop, *step);
    let direction = step.comparison_value().signum();
    if direction == 0 {
        return Err(zero_step());
    }
    let mut next = Some(*start);
    let values = std::iter::from_fn(move || {
        let value = next.take()?;
        if (direction > 0 && value > stop) || (direction < 0 && value < stop) {
            return None;
        }
        let after = match &zone {
            Some(zone) => dt::timestamptz_add(value, step, zone),
            None => dt::timestamp_add(value, step),
        };
        match after {
            Ok(after) => next = Some(after),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(Datum::Int64(value)))
    });
    Ok(Box::new(DatumSet::new(PhysicalType::Int64, values)))
}

#[rustfmt::skip]
fn sizes(r: &mut Implementations) {
    r.f1::<i64, String>("pg_size_pretty", |bytes| Ok(size_pretty(bytes)));
    r.f1::<Numeric, String>("pg_size_pretty_numeric", |bytes| {
        let whole = bytes.to_i64().map(size_pretty);
        whole.map_err(|_| Error::unsupported("pg_size_pretty of numbers beyond bigint"))
    });
    r.f1::<Text, i64>("pg_size_bytes", size_bytes);
}

/// A size in the largest unit that leaves at least ten of it, half rounded away from zero.
fn size_pretty(bytes: i64) -> String {
    // Each unit's limit before the next is used, and how many further binary digits the next drops.
    const UNITS: [(&str, i64, bool, u32); 6] = [
        ("bytes", 10 * 1024, false, 0),
        ("kB", 20 * 1024 - 1, true, 10),
        ("MB", 20 * 1024 - 1, true, 20),
        ("GB", 20 * 1024 - 1, true, 30),
        ("TB", 20 * 1024 - 1, true, 40),
        ("PB", 20 * 1024 - 1, true, 50),
    ];
    let mut size = bytes;
    for (i, (name, limit, round, bits)) in UNITS.iter().enumerate() {
        if i + 1 == UNITS.len() || size.unsigned_abs() < *limit as u64 {
            if *round {
                size = (size + if size < 0 { -1 } else { 1 }) / 2;
            }
            return format!("{size} {name}");
        }
        // One bit less than the unit is dropped, for the rounding; a unit that rounds has already kept one.
        let next = UNITS[i + 1];
        let drop = next.3 - bits - u32::from(next.2) + u32::from(*round);
        size /= 1 << drop;
    }
    format!("{bytes} bytes")
}

fn size_bytes(text: &str) -> Result<i64> {
    let invalid = || invalid_parameter(format!("invalid size: \"{text}\""));
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(trimmed.len());
    let number = Numeric::parse(&trimmed[..split]).map_err(|_| invalid())?;
    let unit = trimmed[split..].trim();
    let bits = match unit.to_ascii_lowercase().as_str() {
        "" | "bytes" | "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        "pb" => 50,
        _ => {
            return Err(invalid()
                .detail(format!("Invalid size unit: \"{unit}\"."))
                .hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\"."));
        }
    };
    number.mul(&Numeric::from_i64(1 << bits))?.to_i64()
}

/// What a [`SessionValue`] is now.
pub(crate) fn session_value(kind: SessionValue, ty: SqlType, ctx: &EvalContext<'_>) -> Result<Datum> {
    let now = ctx.session.transaction_timestamp();
    let zone = &ctx.session.format().time_zone;
    let local = || dt::timestamptz_to_timestamp(now, zone);
    let rounded = |value: Datum, precision: Option<u8>| match precision {
        Some(precision) => typmod::apply(value, ty.with_typmod(precision.into()), true),
        None => Ok(value),
    };
    match kind {
        SessionValue::CurrentDate => Ok(Datum::Int32(dt::timestamptz_to_date(now, zone)?)),
        SessionValue::CurrentTimestamp(precision) => rounded(Datum::Int64(now), precision),
        SessionValue::LocalTimestamp(precision) => rounded(Datum::Int64(local()?), precision),
        SessionValue::LocalTime(precision) => {
            rounded(Datum::Int64(local()?.rem_euclid(dt::USECS_PER_DAY)), precision)
        }
        SessionValue::CurrentTime(precision) => {
            let local = local()?;
            let west = ((now - local) / dt::USECS_PER_SEC) as i32;
            let time = dt::TimeTz { micros: local.rem_euclid(dt::USECS_PER_DAY), zone: west };
            rounded(Datum::text(&time.to_bytes()[..]), precision)
        }
        SessionValue::CurrentUser => Ok(Datum::text(ctx.session.current_user())),
        SessionValue::SessionUser => Ok(Datum::text(ctx.session.session_user())),
        SessionValue::SystemUser => Ok(Datum::Null),
        SessionValue::CurrentCatalog => Ok(Datum::text(ctx.session.database())),
        SessionValue::CurrentSchema => Ok(current_schema(ctx)),
    }
}

/// Whether the hash of the last arguments has a remainder: `satisfies_hash_partition(table, modulus, remainder, …)`.
fn satisfies_hash_partition(call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Datum> {
    let number = |index: usize| args.get(index).and_then(Datum::as_i64);
    let (Some(modulus), Some(remainder)) = (number(1), number(2)) else { return Ok(Datum::Null) };
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if modulus <= 0 {
        return invalid("modulus for hash partition must be an integer value greater than zero");
    }
    if remainder < 0 {
        return invalid(
            "remainder for hash partition must be an integer value greater than or equal to zero",
        );
    }
    if remainder >= modulus {
        return invalid("remainder for hash partition must be less than modulus");
    }
    let (types, values): (Vec<_>, Vec<_>) = match &args[3..] {
        [Datum::Array(array)] if call.variadic_array => {
            array.elements.iter().map(|element| (array.element, element.clone())).unzip()
        }
        values => call.arg_types[3..].iter().copied().zip(values.iter().cloned()).unzip(),
    };
    match ochre_types::partition_hash(&types, &values) {
        Some(hash) => Ok(Datum::Bool(hash % modulus as u64 == remainder as u64)),
        None => Err(Error::unsupported("hash partitioning by this type")),
    }
}
