//! Routines of users as rows of `pg_proc`, and back.

use std::collections::HashMap;
use std::sync::Arc;

use ochre_base::Oid;
use ochre_expr::{Function, FunctionKind, Implementation, Language, ParameterMode, Volatility};
use ochre_types::{Datum, SqlType};
use smallvec::smallvec;

use super::decode::{CatalogRows, Gathered, RowReader, comments};
use super::encode::{acl_array, comment_row, join_expressions};
use super::{CatalogRow, RowWriter, split_expressions, vector};
use crate::builtin::rows::functions::function_writer;
use crate::descriptor::{AggregateDescriptor, RoutineDescriptor};
use crate::oids;

/// A routine's rows.
pub fn routine_rows(routine: &RoutineDescriptor) -> Vec<CatalogRow> {
    let function = &routine.function;
    let defaults = (!function.defaults.is_empty())
        .then(|| join_expressions(function.defaults.iter().map(|default| &**default)));
    let settings: Vec<Datum> = routine.settings.iter().map(|setting| Datum::text(&**setting)).collect();
    let mut writer = function_writer(function, defaults.as_deref())
        .set("oid", routine.oid)
        .set("pronamespace", routine.namespace)
        .set("proowner", routine.owner)
        .set("prosqlbody", routine.sql_body.as_ref())
        .set("proacl", acl_array(routine.acl.as_ref()));
    if !settings.is_empty() {
        writer = writer.set("proconfig", vector(SqlType::TEXT, 1, settings));
    }
    let mut rows = vec![writer.row(smallvec![i64::from(routine.oid.0)])];
    rows.extend(routine.aggregate.as_deref().map(|aggregate| aggregate_row(routine.oid, aggregate)));
    if let Some(comment) = &routine.comment {
        rows.push(comment_row(routine.oid, oids::PG_PROC, 0, comment));
    }
    rows
}

/// Every stored routine.
pub fn routines(rows: &CatalogRows) -> Vec<Arc<RoutineDescriptor>> {
    let gathered = Gathered { rows };
    let comments = comments(&gathered);
    let mut aggregates: HashMap<Oid, RowReader<'_>> =
        gathered.readers(oids::PG_AGGREGATE).map(|row| (row.oid("aggfnoid"), row)).collect();
    gathered
        .readers(oids::PG_PROC)
        .map(|row| {
            let oid = row.oid("oid");
            let function = Arc::new(function(&row));
            let aggregate = aggregates.remove(&oid).map(|row| Arc::new(aggregate(&row)));
            Arc::new(RoutineDescriptor {
                oid,
                namespace: row.oid("pronamespace"),
                owner: row.oid("proowner"),
                function,
                sql_body: row.text("prosqlbody"),
                settings: row.texts("proconfig").iter().map(|setting| Box::from(&**setting)).collect(),
                comment: comments.get(&(oid, oids::PG_PROC, 0)).cloned(),
                acl: row.acl("proacl"),
                aggregate,
            })
        })
        .collect()
}

/// An aggregate's row of `pg_aggregate`.
fn aggregate_row(oid: Oid, aggregate: &AggregateDescriptor) -> CatalogRow {
    let mut row = RowWriter::new(oids::PG_AGGREGATE)
        .set("aggfnoid", oid)
        .set("aggkind", b'n')
        .set("aggnumdirectargs", 0_i16)
        .set("aggfinalextra", aggregate.final_extra)
        .set("aggmfinalextra", aggregate.moving_final_extra)
        .set("aggfinalmodify", aggregate.final_modify)
        .set("aggmfinalmodify", aggregate.moving_final_modify)
        .set("aggsortop", aggregate.sort_operator)
        .set("aggtranstype", aggregate.state)
        .set("aggtransspace", aggregate.state_space)
        .set("aggmtranstype", aggregate.moving_state)
        .set("aggmtransspace", aggregate.moving_state_space)
        .set("agginitval", aggregate.initial.as_deref())
        .set("aggminitval", aggregate.moving_initial.as_deref());
    for (column, function) in AggregateDescriptor::FUNCTION_COLUMNS.into_iter().zip(aggregate.functions) {
        row = row.set(column, function);
    }
    row.row(smallvec![i64::from(oid.0)])
}

fn aggregate(row: &RowReader<'_>) -> AggregateDescriptor {
    AggregateDescriptor {
        functions: AggregateDescriptor::FUNCTION_COLUMNS.map(|column| row.oid(column)),
        final_extra: row.flag("aggfinalextra"),
        moving_final_extra: row.flag("aggmfinalextra"),
        final_modify: row.letter("aggfinalmodify"),
        moving_final_modify: row.letter("aggmfinalmodify"),
        sort_operator: row.oid("aggsortop"),
        state: row.oid("aggtranstype"),
        state_space: row.integer("aggtransspace") as i32,
        moving_state: row.oid("aggmtranstype"),
        moving_state_space: row.integer("aggmtransspace") as i32,
        initial: row.text("agginitval"),
        moving_initial: row.text("aggminitval"),
    }
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
    let kind = match row.letter("prokind") {
        b'p' => FunctionKind::Procedure,
        b'a' => FunctionKind::Aggregate,
        _ => FunctionKind::Function,
    };
    Function {
        oid: row.oid("oid"),
        name: (*row.name("proname")).into(),
        kind,
        language: match row.oid("prolang") {
            _ if kind == FunctionKind::Aggregate => Language::Internal,
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
        implementation: match kind {
            FunctionKind::Aggregate => Implementation::Aggregate,
            _ => Implementation::Routine,
        },
    }
}
