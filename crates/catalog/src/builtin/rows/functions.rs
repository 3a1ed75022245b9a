//! `pg_proc` and `pg_aggregate`.

use ochre_base::Oid;
use ochre_expr::{AggregateKind, Function, FunctionKind, Language, ParameterMode, Volatility};
use ochre_types::{Datum, SqlType};

use super::Rows;
use crate::descriptor::AggregateDescriptor;
use crate::oids;
use crate::stored::{RowWriter, oid_vector, vector};

pub(super) fn functions() -> Rows {
    ochre_expr::functions().iter().map(function_row).collect()
}

fn function_row(function: &Function) -> Vec<Datum> {
    let defaults = (!function.defaults.is_empty()).then(|| function.defaults.join(", "));
    function_writer(function, defaults.as_deref())
        .set("oid", function.oid)
        .set("pronamespace", crate::builtin::namespace_of(function))
        .set("proowner", oids::BOOTSTRAP_ROLE)
        .set("prosupport", support(function))
        .values()
}

/// A function's row of `pg_proc`, but for its id, namespace and owner.
pub(crate) fn function_writer(function: &Function, defaults: Option<&str>) -> RowWriter {
    let array = |element, values: Vec<Datum>| {
        if values.is_empty() { Datum::Null } else { vector(element, 1, values) }
    };
    let all_types = function.all_arg_types.iter().map(|oid| Datum::UInt32(oid.0)).collect();
    let modes = function.arg_modes.iter().map(|mode| Datum::Char(mode_letter(*mode))).collect();
    let names = function.arg_names.iter().map(|name| Datum::text(&**name)).collect();
    let language = match function.language {
        Language::Internal => Oid(12),
        Language::C => Oid(13),
        Language::Sql => oids::SQL_LANGUAGE,
        Language::PlPgSql => oids::PLPGSQL_LANGUAGE,
    };
    RowWriter::new(oids::PG_PROC)
        .set("proname", &*function.name)
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
        .set("proargdefaults", defaults)
        .set("prosrc", &*function.source)
}

fn support(function: &Function) -> Oid {
    ochre_expr::functions_named(&function.support).first().map_or(Oid::INVALID, |support| support.oid)
}

fn mode_letter(mode: ParameterMode) -> u8 {
    match mode {
        ParameterMode::In => b'i',
        ParameterMode::Out => b'o',
        ParameterMode::InOut => b'b',
        ParameterMode::Variadic => b'v',
        ParameterMode::Table => b't',
    }
}

fn kind_letter(kind: FunctionKind) -> u8 {
    match kind {
        FunctionKind::Function => b'f',
        FunctionKind::Aggregate => b'a',
        FunctionKind::Window => b'w',
        FunctionKind::Procedure => b'p',
    }
}

fn volatility_letter(volatility: Volatility) -> u8 {
    match volatility {
        Volatility::Immutable => b'i',
        Volatility::Stable => b's',
        Volatility::Volatile => b'v',
    }
}

pub(super) fn aggregates() -> Rows {
    ochre_expr::aggregates()
        .iter()
        .map(|aggregate| {
            let kind = match aggregate.kind {
                AggregateKind::Normal => b'n',
                AggregateKind::OrderedSet => b'o',
                AggregateKind::HypotheticalSet => b'h',
            };
            let mut row = RowWriter::new(oids::PG_AGGREGATE)
                .set("aggfnoid", aggregate.function.oid)
                .set("aggkind", kind)
                .set("aggnumdirectargs", aggregate.direct_arg_count as i16)
                .set("aggfinalextra", aggregate.final_extra[0])
                .set("aggmfinalextra", aggregate.final_extra[1])
                .set("aggfinalmodify", aggregate.final_modify[0])
                .set("aggmfinalmodify", aggregate.final_modify[1])
                .set("aggsortop", aggregate.sort_operator)
                .set("aggtranstype", aggregate.transition_type)
                .set("aggtransspace", aggregate.transition_space)
                .set("aggmtranstype", aggregate.moving_transition_type)
                .set("aggmtransspace", aggregate.moving_transition_space)
                .set("agginitval", aggregate.initial[0].as_deref())
                .set("aggminitval", aggregate.initial[1].as_deref());
            for (column, function) in
                AggregateDescriptor::FUNCTION_COLUMNS.into_iter().zip(aggregate.support_functions)
            {
                row = row.set(column, function);
            }
            row.values()
        })
        .collect()
}
