//! Routines of users as rows of `pg_proc`, and back.

use std::sync::Arc;

use ochre_base::Oid;
use ochre_expr::{Function, FunctionKind, Implementation, Language, ParameterMode, Volatility};
use ochre_types::{Datum, SqlType};
use smallvec::smallvec;

use super::decode::{CatalogRows, Gathered, RowReader, comments};
use super::encode::{comment_row, join_expressions};
use super::row::RowWriter;
use super::{CatalogRow, oid_vector, split_expressions, vector};
use crate::builtin::rows::functions::{kind_letter, mode_letter, volatility_letter};
use crate::descriptor::RoutineDescriptor;
use crate::oids;

/// A routine's rows.
pub fn routine_rows(routine: &RoutineDescriptor) -> Vec<CatalogRow> {
    let function = &routine.function;
    let array = |element, values: Vec<Datum>| {
        if values.is_empty() { Datum::Null } else { vector(element, 1, values) }
    };
    let all_types = function.all_arg_types.iter().map(|oid| Datum::UInt32(oid.0)).collect();
    let modes = function.arg_modes.iter().map(|mode| Datum::Char(mode_letter(*mode))).collect();
    let names = function.arg_names.iter().map(|name| Datum::text(&**name)).collect();
    let defaults = (!function.defaults.is_empty())
        .then(|| join_expressions(function.defaults.iter().map(|default| &**default)));
    let language = match function.language {
        Language::PlPgSql => oids::PLPGSQL_LANGUAGE,
        _ => oids::SQL_LANGUAGE,
    };
    let mut rows = vec![
        RowWriter::new(oids::PG_PROC)
            .set("oid", routine.oid)
            .set("proname", &*function.name)
            .set("pronamespace", routine.namespace)
            .set("proowner", routine.owner)
            .set("prolang", language)
            .set("procost", function.cost)
            .set("prorows", function.rows)
            .set("provariadic", function.variadic)
            .set("prosupport", Oid::INVALID)
            .set("prokind", kind_letter(function.kind))
            .set("prosecdef", function.security_definer)
            .set("proleakproof", function.leakproof)
            .set("proisstrict", function.strict)
            .set("proretset", function.returns_set)
            .set("provolatile", volatility_letter(function.volatility))
            .set("proparallel", function.parallel)
            .set("pronargs", function.arg_types.len() as i16)
            .set("pronargdefaults", function.default_count as i16)
            .set("prorettype", function.return_type)
            .set("proargtypes", oid_vector(function.arg_types.iter().copied()))
            .set("proallargtypes", array(SqlType::OID, all_types))
            .set("proargmodes", array(SqlType::CHAR, modes))
            .set("proargnames", array(SqlType::TEXT, names))
            .set("proargdefaults", defaults.as_deref())
            .set("prosrc", &*function.source)
            .set("prosqlbody", routine.sql_body.as_ref())
            .row(smallvec![i64::from(routine.oid.0)]),
    ];
    if let Some(comment) = &routine.comment {
        rows.push(comment_row(routine.oid, oids::PG_PROC, 0, comment));
    }
    rows
}

/// Every stored routine.
pub fn routines(rows: &CatalogRows) -> Vec<Arc<RoutineDescriptor>> {
    let gathered = Gathered { rows };
    let comments = comments(&gathered);
    gathered
        .readers(oids::PG_PROC)
        .map(|row| {
            let oid = row.oid("oid");
            Arc::new(RoutineDescriptor {
                oid,
                namespace: row.oid("pronamespace"),
                owner: row.oid("proowner"),
                function: Arc::new(function(&row)),
                sql_body: row.text("prosqlbody"),
                comment: comments.get(&(oid, oids::PG_PROC, 0)).cloned(),
            })
        })
        .collect()
}

fn function(row: &RowReader<'_>) -> Function {
    let ids = |column| row.numbers(column).into_iter().map(|oid| Oid(oid as u32)).collect();
    let defaults = row.text("proargdefaults").unwrap_or_default();
    let defaults: Box<[Box<str>]> =
        split_expressions(&defaults).unwrap_or_default().into_iter().map(Box::from).collect();
    let mode = |value: &Datum| match value {
        Datum::Char(b'o') => ParameterMode::Out,
        Datum::Char(b'b') => ParameterMode::InOut,
        Datum::Char(b'v') => ParameterMode::Variadic,
        Datum::Char(b't') => ParameterMode::Table,
        _ => ParameterMode::In,
    };
    Function {
        oid: row.oid("oid"),
        name: (*row.name("proname")).into(),
        kind: if row.letter("prokind") == b'p' { FunctionKind::Procedure } else { FunctionKind::Function },
        language: match row.oid("prolang") {
            oids::PLPGSQL_LANGUAGE => Language::PlPgSql,
            _ => Language::Sql,
        },
        strict: row.flag("proisstrict"),
        returns_set: row.flag("proretset"),
        volatility: match row.letter("provolatile") {
            b'i' => Volatility::Immutable,
            b's' => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        parallel: row.letter("proparallel"),
        leakproof: row.flag("proleakproof"),
        security_definer: row.flag("prosecdef"),
        arg_types: ids("proargtypes"),
        default_count: row.integer("pronargdefaults") as usize,
        defaults,
        return_type: row.oid("prorettype"),
        all_arg_types: ids("proallargtypes"),
        arg_modes: row.array("proargmodes").iter().map(mode).collect(),
        arg_names: row.texts("proargnames").iter().map(|name| Box::from(&**name)).collect(),
        variadic: row.oid("provariadic"),
        support: "-".into(),
        cost: row.float("procost") as f32,
        rows: row.float("prorows") as f32,
        source: (*row.name("prosrc")).into(),
        implementation: Implementation::Routine,
    }
}
