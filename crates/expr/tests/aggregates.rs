//! Runs the recorded aggregates of `testdata/aggregates.agg` in one group, in one of several groups with a selection, and
//! as two states that are merged, and compares each answer with PostgreSQL's.

use std::fmt::Write;
use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Aggregate, EvalContext, Groups, NoSession, aggregate, functions_named};
use ochre_types::{
    Column, ColumnBuilder, Datum, FormatContext, Selection, SqlType, oids, parse_text, to_text,
    type_info_named,
};

struct Case {
    aggregate: &'static Aggregate,
    types: Vec<SqlType>,
    result: SqlType,
    rows: Vec<Vec<Datum>>,
}

/// Quoted strings and nulls, in order.
fn literals(text: &str) -> Vec<Option<String>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\'', 'n']) {
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("null") {
            out.push(None);
            rest = after;
        } else {
            let end = rest[1..].find('\'').expect("a closing quote") + 1;
            out.push(Some(rest[1..end].to_owned()));
            rest = &rest[end + 1..];
        }
    }
    out
}

fn parse(text: &str) -> Case {
    let (call, values) = text.split_once(" from (values ").expect("a list of values");
    let (name, args) = call.trim_end_matches(')').split_once('(').expect("a call");
    let types: Vec<SqlType> = args
        .split(',')
        .map(|arg| SqlType::new(type_info_named(arg.trim().split_once("::").unwrap().1).unwrap().oid, -1))
        .collect();
    let values = values.rsplit_once(") v(").unwrap().0;
    let format = FormatContext::default();
    let rows = literals(values)
        .chunks(types.len())
        .map(|row| {
            let value = |(text, ty): (&Option<String>, &SqlType)| match text {
                None => Datum::Null,
                Some(text) => parse_text(*ty, text, &format).unwrap(),
            };
            row.iter().zip(&types).map(value).collect()
        })
        .collect();
    let function = functions_named(name)
        .iter()
        .find(|f| {
            f.arg_types.len() == types.len()
                && f.arg_types.iter().zip(&types).all(|(wanted, ty)| match *wanted {
                    oids::ANY | oids::ANYELEMENT => true,
                    oids::ANYARRAY => ty.element().is_some(),
                    oids::ANYNONARRAY => ty.element().is_none(),
                    wanted => wanted == ty.oid,
                })
        })
        .unwrap_or_else(|| panic!("no aggregate {text}"));
    let result = match function.return_type {
        oids::ANYELEMENT | oids::ANYARRAY if types[0].element().is_some() => types[0],
        oids::ANYARRAY => types[0].array_of().unwrap(),
        oids::ANYELEMENT => types[0],
        oid => SqlType::new(oid, -1),
    };
    Case { aggregate: aggregate(function.oid).unwrap(), types, result, rows }
}

impl Case {
    fn columns(&self, rows: &[&Vec<Datum>]) -> Vec<Arc<Column>> {
        let column = |(i, ty): (usize, &SqlType)| {
            let mut builder = ColumnBuilder::new(ty.physical, rows.len());
            rows.iter().for_each(|row| builder.push(&row[i]));
            Arc::new(builder.finish())
        };
        self.types.iter().enumerate().map(column).collect()
    }

    fn one_group(&self, ctx: &EvalContext<'_>) -> Result<Datum> {
        let mut state = self.aggregate.create(&self.types, self.result)?;
        state.grow(1);
        let rows: Vec<&Vec<Datum>> = self.rows.iter().collect();
        state.update(Groups::One(0), &self.columns(&rows), rows.len(), None, ctx)?;
        let value = state.value(0, ctx)?;
        assert_eq!(format!("{value:?}"), format!("{:?}", state.finish(ctx)?.datum(0)));
        Ok(value)
    }

    /// Every row goes to group 1, between rows of group 0 that are not selected.
    fn among_groups(&self, ctx: &EvalContext<'_>) -> Result<Datum> {
        let mut state = self.aggregate.create(&self.types, self.result)?;
        state.grow(2);
        let doubled: Vec<&Vec<Datum>> = self.rows.iter().flat_map(|row| [row, row]).collect();
        let groups: Vec<u32> = (0..doubled.len() as u32).map(|i| i % 2).collect();
        let odd: Vec<u16> = (0..doubled.len() as u16).filter(|i| i % 2 == 1).collect();
        let selection = Selection::new(odd);
        state.update(Groups::Each(&groups), &self.columns(&doubled), doubled.len(), Some(&selection), ctx)?;
        Ok(state.finish(ctx)?.datum(1))
    }

    fn merged(&self, ctx: &EvalContext<'_>) -> Result<Datum> {
        let half = self.rows.len() / 2;
        let mut parts = Vec::new();
        for rows in [&self.rows[..half], &self.rows[half..]] {
            let mut state = self.aggregate.create(&self.types, self.result)?;
            state.grow(1);
            let rows: Vec<&Vec<Datum>> = rows.iter().collect();
            state.update(Groups::One(0), &self.columns(&rows), rows.len(), None, ctx)?;
            parts.push(state);
        }
        let later = parts.pop().unwrap();
        let mut state = parts.pop().unwrap();
        state.merge(later, &[0])?;
        Ok(state.finish(ctx)?.datum(0))
    }
}

fn shown(result: Result<Datum>, ty: SqlType) -> String {
    match result {
        Ok(Datum::Null) => "NULL".to_owned(),
        Ok(value) => {
            to_text(ty, &value, &FormatContext::default()).unwrap().replace('\\', "\\\\").replace('\n', "\\n")
        }
        Err(error) => format!("ERROR {} {}", error.sqlstate(), error.message()),
    }
}

#[test]
fn recorded_aggregates() {
    let session = NoSession::default();
    let ctx = EvalContext::new(&session);
    let mut failures = String::new();
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/aggregates.agg")).unwrap();
    for line in text.lines() {
        let (text, expected) = line.split_once(" ⇒ ").expect("a recorded answer");
        let case = parse(text);
        let answers =
            [shown(case.one_group(&ctx), case.result), shown(case.among_groups(&ctx), case.result), {
                // Merging changes the order of float operations, so only exact types must agree to the last digit.
                let merged = shown(case.merged(&ctx), case.result);
                let is_float =
                    matches!(case.result.oid, oids::FLOAT4 | oids::FLOAT8) || merged.starts_with("ERROR");
                if is_float { expected.to_owned() } else { merged }
            }];
        if answers.iter().any(|answer| answer != expected) {
            writeln!(failures, "{text}\n    expected {expected}\n    got      {answers:?}").unwrap();
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}
