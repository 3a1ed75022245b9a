//! What a call begins with: its arguments, its output columns, FOUND, and what a trigger function is told.

use std::borrow::Cow;
use std::sync::Arc;

use ochre_catalog::{TriggerDescriptor, TriggerTiming};
use ochre_expr::ParameterMode as Mode;
use ochre_sql::bind::{ParamTypes, RowSets, actual_type};
use ochre_types::{Datum, PhysicalType, SqlType};

use super::run::Run;
use super::variables::{Scope, Shape, Told, Variable};
use crate::session::Session;

/// What a trigger function is called with.
pub(crate) struct TriggerCall<'a> {
    pub trigger: &'a TriggerDescriptor,
    pub table: &'a ochre_catalog::RelationDescriptor,
    /// The columns of the table's rows.
    pub shape: Shape,
    /// The names of its transition tables.
    pub row_sets: RowSets,
    /// INSERT, UPDATE, DELETE or TRUNCATE.
    pub event: &'static str,
    pub old: Option<Arc<[Datum]>>,
    pub new: Option<Arc<[Datum]>>,
}

impl TriggerCall<'_> {
    /// The type of the table's rows.
    pub(crate) fn row_type(&self) -> SqlType {
        SqlType::with_physical(self.table.row_type, -1, PhysicalType::Record)
    }

    fn tell(&self, session: &Session, what: Told) -> Datum {
        let trigger = self.trigger;
        match what {
            Told::Name => Datum::text(&*trigger.name),
            Told::When => Datum::text(match trigger.timing {
                TriggerTiming::Before => "BEFORE",
                TriggerTiming::After => "AFTER",
                TriggerTiming::InsteadOf => "INSTEAD OF",
            }),
            Told::Level => Datum::text(if trigger.row { "ROW" } else { "STATEMENT" }),
            Told::Operation => Datum::text(self.event),
            Told::TableId => Datum::UInt32(self.table.oid.0),
            Told::TableName => Datum::text(&*self.table.name),
            Told::TableSchema => Datum::text(session.namespace_name(self.table.namespace)),
            Told::ArgumentCount => Datum::Int32(trigger.arguments.len() as i32),
            Told::Arguments => {
                let arguments = trigger.arguments.iter().map(|argument| Datum::text(&**argument)).collect();
                let mut array = ochre_types::ArrayValue::vector(SqlType::TEXT, arguments);
                if let [dimension] = array.dimensions.as_mut_slice() {
                    dimension.lower = 0;
                }
                Datum::Array(Arc::new(array))
            }
        }
    }
}

/// The variables that tell a trigger function what it was called for.
const TOLD: [(&str, SqlType, Told); 10] = [
    ("tg_name", SqlType::NAME, Told::Name),
    ("tg_when", SqlType::TEXT, Told::When),
    ("tg_level", SqlType::TEXT, Told::Level),
    ("tg_op", SqlType::TEXT, Told::Operation),
    ("tg_relid", SqlType::OID, Told::TableId),
    ("tg_relname", SqlType::NAME, Told::TableName),
    ("tg_table_name", SqlType::NAME, Told::TableName),
    ("tg_table_schema", SqlType::NAME, Told::TableSchema),
    ("tg_nargs", SqlType::INT4, Told::ArgumentCount),
    ("tg_argv", SqlType::TEXT_ARRAY, Told::Arguments),
];

impl<'a, 's> Run<'a, 's> {
    pub(super) fn trigger_variables(&mut self, call: &'a TriggerCall<'a>) {
        for (name, row) in [("new", &call.new), ("old", &call.old)] {
            // Statement triggers have no rows: the records stay unassigned.
            let ty = if call.trigger.row { call.row_type() } else { SqlType::RECORD };
            let value = row.as_ref().map_or(Datum::Null, |row| Datum::Record(Arc::clone(row)));
            let mut variable = Variable::plain(name, ty, value);
            variable.shape = call.trigger.row.then(|| Arc::clone(&call.shape));
            self.declare(variable);
        }
        for (name, ty, what) in TOLD {
            let mut variable = Variable::plain(name, ty, Datum::Null);
            variable.told = Some(what);
            self.declare(variable);
        }
    }

    /// Parameters of these types for a statement of the body.
    pub(super) fn dynamic_parameters(&self, types: &[SqlType]) -> ParamTypes {
        let parameters = ParamTypes::of_types(types);
        self.trigger.map_or(parameters.clone(), |call| parameters.with_row_sets(&call.row_sets))
    }

    /// The value of a variable.
    pub(super) fn variable_value(&self, slot: usize) -> Datum {
        let variable = &self.variables[slot];
        match (variable.told, self.trigger) {
            (Some(what), Some(call)) => call.tell(self.session(), what),
            _ => variable.value.clone(),
        }
    }

    /// The outermost scope: parameters in the order of the definition, FOUND.
    pub(super) fn arguments(&mut self, args: &[Datum]) {
        let function = self.invocation.function;
        self.scopes.push(Scope::labelled(Some(&*function.name)));
        let mut inputs = args.iter().zip(&self.invocation.arg_types);
        let count = function.arg_modes.len().max(function.arg_types.len());
        for i in 0..count {
            let mode = function.arg_modes.get(i).copied().unwrap_or(Mode::In);
            let (value, ty) = match mode {
                Mode::In | Mode::InOut | Mode::Variadic => match inputs.next() {
                    Some((value, ty)) => (value.clone(), *ty),
                    None => (Datum::Null, SqlType::TEXT),
                },
                Mode::Out | Mode::Table => (Datum::Null, self.output_type(i)),
            };
            let number = format!("${}", i + 1);
            let name = function.arg_names.get(i).map_or("", |name| name);
            let shown: Cow<'a, str> = if name.is_empty() { number.clone().into() } else { name.into() };
            let slot = self.new_variable(shown, ty, value);
            self.name(number, slot);
            if !name.is_empty() {
                self.name(name, slot);
            }
        }
        self.found = self.variables.len();
        self.declare(Variable::plain("found", SqlType::BOOL, Datum::Bool(false)));
    }

    /// The type of an output column, which arguments may decide.
    fn output_type(&self, parameter: usize) -> SqlType {
        let function = self.invocation.function;
        let actual: Vec<_> = self.invocation.arg_types.iter().map(|ty| ty.oid).collect();
        let declared = function.all_arg_types[parameter];
        self.session().sql_type(actual_type(
            &self.session().state.catalog(),
            declared,
            &function.arg_types,
            &actual,
        ))
    }

    /// The slots of the output columns.
    pub(super) fn outputs(&self) -> impl Iterator<Item = usize> + use<'a, 's> {
        let function = self.invocation.function;
        let modes = function.arg_modes.iter().enumerate();
        modes.filter(|(_, mode)| matches!(mode, Mode::Out | Mode::InOut | Mode::Table)).map(|(i, _)| i)
    }

    pub(super) fn has_outputs(&self) -> bool {
        self.outputs().next().is_some()
    }

    pub(super) fn new_variable(&mut self, name: impl Into<Cow<'a, str>>, ty: SqlType, value: Datum) -> usize {
        let mut variable = Variable::plain(name, ty, value);
        variable.shape = self.shape_of(ty);
        self.variables.push(variable);
        self.variables.len() - 1
    }

    pub(super) fn name(&mut self, name: impl Into<Cow<'a, str>>, slot: usize) {
        let scope = self.scopes.last_mut().expect("a call has its outermost scope");
        scope.names.push((name.into(), slot));
    }

    pub(super) fn declare(&mut self, variable: Variable<'a>) -> usize {
        let slot = self.variables.len();
        self.name(variable.name.clone(), slot);
        self.variables.push(variable);
        slot
    }

    /// The fields of a row type.
    pub(super) fn shape_of(&self, ty: SqlType) -> Option<Shape> {
        if ty.physical != PhysicalType::Record {
            return None;
        }
        if let Some(fields) = self.session().row_fields(ty) {
            return Some(fields.into());
        }
        let types = ochre_types::record_fields(ty)?;
        let field = |(i, ty): (usize, &SqlType)| (Arc::from(format!("f{}", i + 1).as_str()), *ty);
        Some(types.iter().enumerate().map(field).collect())
    }
}
