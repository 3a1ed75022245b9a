//! Calls: ordinary functions, aggregates, window functions, sets, casts in function form.

use std::sync::Arc;

use ochre_base::limits::MAX_FUNCTION_ARGUMENTS;
use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::AggregateDescriptor;
use ochre_catalog::oids as catalog_oids;
use ochre_expr::{
    Aggregate, AggregateKind, AggregateRef, CalledAggregate, CastKind, Expr, Function, FunctionKind,
    FunctionRef, functions_named,
};
use ochre_parser::ast::{self, Pos};
use ochre_types::{Datum, PhysicalType, SqlType, oids};

use super::coerce::{CoercionContext, Pathway, is_polymorphic, pathway, resolve_polymorphic};
use super::level::{Clause, GroupingCall};
use super::overload::{Candidate, Choice, Overloads, candidates, choose_function};
use super::scope::Scope;
use super::{Binder, stored_text};
use crate::logical::{AggregateExpr, AggregateFunction, ColumnId, Logical, Ordering, SetItem, WindowExpr};
use crate::plan::strip_relabel;

const SET_IN_AGGREGATE: &str = "aggregate function calls cannot contain set-returning function calls";
const SET_IN_WINDOW: &str = "window function calls cannot contain set-returning function calls";

/// A call whose function is chosen and whose arguments fit it.
#[derive(Debug)]
pub(crate) struct ResolvedCall {
    pub function: FunctionRef,
    pub args: Vec<Expr>,
    pub variadic_array: bool,
    pub ty: SqlType,
}

/// What a function's name and arguments were found to mean.
enum Resolution {
    Call(ResolvedCall),
    /// A cast in function form.
    Cast(Expr),
}

impl Binder<'_> {
    /// Binds a call where any kind of function may stand.
    pub(crate) fn bind_call(&mut self, call: &ast::FuncCall, scope: &Scope<'_>) -> Result<Expr> {
        if call.syntax == ast::CallSyntax::MergeAction {
            return self.bind_merge_action(call.pos);
        }
        let functions = &self.functions_of(call)?;
        let kind = functions.first().map_or(FunctionKind::Function, |function| function.kind);
        if call.within_group
            && call.over.is_none()
            && let Some(set) = super::hypothetical::HypotheticalSet::of(functions)
        {
            let met = self.sets_met();
            let bound = self.bind_hypothetical(call, set, scope)?;
            self.refuse_sets_since(met, SET_IN_AGGREGATE)?;
            return Ok(bound);
        }
        if kind == FunctionKind::Aggregate && call.over.is_none() {
            let met = self.sets_met();
            let bound = self.bind_aggregate(call, functions, scope)?;
            self.refuse_sets_since(met, SET_IN_AGGREGATE)?;
            return Ok(bound);
        }
        if let Some(over) = &call.over {
            return self.bind_window_call(call, over, functions, kind, scope);
        }
        // What is not there is not found before anything is wrong with the call.
        if !functions.is_empty() {
            self.check_plain_call(call, kind)?;
        }
        match self.bind_function(call, functions, scope)? {
            Resolution::Cast(expr) => Ok(expr),
            Resolution::Call(resolved) => {
                if resolved.function.returns_set {
                    self.check_set_allowed(call.pos)?;
                    let ResolvedCall { function, args, ty, .. } = resolved;
                    return self.add_set_call(SetItem::Set { function, args, ty }, scope.depth, call.pos);
                }
                Ok(self.call_expr(resolved, call.pos))
            }
        }
    }

    fn call_expr(&self, resolved: ResolvedCall, pos: Pos) -> Expr {
        Expr::Call {
            function: resolved.function,
            args: resolved.args,
            variadic_array: resolved.variadic_array,
            ty: resolved.ty,
            pos: self.source_pos(pos),
        }
    }

    /// The overloads of a call's name.
    fn functions_of(&self, call: &ast::FuncCall) -> Result<Overloads> {
        if call.args.len() > MAX_FUNCTION_ARGUMENTS {
            let error = Error::new(
                SqlState::TOO_MANY_ARGUMENTS,
                format!("cannot pass more than {MAX_FUNCTION_ARGUMENTS} arguments to a function"),
            );
            return Err(self.at(error, call.pos));
        }
        self.overloads(&call.name, call.pos)
    }

    /// The functions of a name, along the search path.
    pub(crate) fn overloads(&self, name: &ast::ObjectName, pos: Pos) -> Result<Overloads> {
        if let Some(oid) = super::view::oid_name(name) {
            let found =
                self.catalog.routine(oid).map(|routine| FunctionRef::User(Arc::clone(&routine.function)));
            return Ok(Overloads::Mixed(found.into_iter().collect()));
        }
        if let Some(schema) = name.schema() {
            let Some(namespace) = self.catalog.namespace_named(schema) else {
                let error =
                    Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"));
                return Err(self.at(error, pos));
            };
            self.use_namespace(namespace.oid, pos)?;
            let builtin = functions_named(name.name());
            if namespace.oid == catalog_oids::PG_CATALOG && all_of_catalog(builtin) {
                return Ok(Overloads::Builtin(builtin));
            }
            return Ok(Overloads::Mixed(self.catalog.functions_in(namespace.oid, name.name())));
        }
        let builtin = functions_named(name.name());
        if self.catalog.routines_named(name.name()).is_empty() && all_of_catalog(builtin) {
            return Ok(Overloads::Builtin(builtin));
        }
        Ok(Overloads::Mixed(self.catalog.functions_on_path(self.search_path, name.name())))
    }

    /// Binds the call of a procedure: output arguments are left out.
    pub(crate) fn bind_procedure(&mut self, call: &ast::FuncCall) -> Result<(FunctionRef, Vec<Expr>)> {
        let scope = Scope::root(Default::default());
        let functions = self.functions_of(call)?;
        let given = call.args.len();
        // Those that take an argument for each of their parameters, output ones included.
        let inputs = functions.find_map(|function| {
            use ochre_expr::ParameterMode as Mode;
            let is_out = |mode: &Mode| matches!(mode, Mode::Out | Mode::Table);
            let all = function.all_arg_types.len();
            if function.kind != FunctionKind::Procedure
                || !function.arg_modes.iter().any(is_out)
                || given > all
                || given + function.default_count < all
            {
                return None;
            }
            // Which parameter each argument is for: output ones must be given, too.
            let mut missing = function.arg_modes.iter().map(is_out).collect::<Vec<bool>>();
            let mut inputs = Vec::with_capacity(given);
            for (i, arg) in call.args.iter().enumerate() {
                let parameter = match &arg.name {
                    Some(wanted) => function.arg_names.iter().position(|name| **name == **wanted)?,
                    None => i,
                };
                missing[parameter] = false;
                inputs.push(!is_out(&function.arg_modes[parameter]));
            }
            (!missing.contains(&true)).then_some(inputs)
        });
        let mut args = Vec::with_capacity(given);
        let mut names: Vec<Option<&str>> = Vec::with_capacity(given);
        let mut outputs = Vec::new();
        let mut types = Vec::with_capacity(given);
        for (i, arg) in call.args.iter().enumerate() {
            let is_input = inputs.as_ref().is_none_or(|inputs| inputs[i]);
            if !is_input && self.params.variables.is_some() {
                // A variable to assign to, whose value may be of no shape yet.
                continue;
            }
            let bound = self.in_level(Clause::Other, 0, |binder| binder.bind_expr(&arg.value, &scope))?;
            types.push(bound.ty());
            if is_input {
                args.push(bound);
                names.push(arg.name.as_deref());
            } else {
                outputs.push((i, bound));
            }
        }
        let shown: Vec<String> = types.iter().map(|ty| self.type_text(*ty)).collect();
        let shown = format!("{}({})", call.name, shown.join(", "));
        let undefined = |binder: &Self| {
            let message = format!("procedure {shown} does not exist");
            let error = Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
                "No procedure matches the given name and argument types. You might need to add explicit type casts.",
            );
            binder.at(error, call.pos)
        };
        let resolved = self.try_resolve(&call.name, &functions, args, &names, call.variadic, call.pos);
        match resolved {
            Ok(Resolution::Call(resolved)) if resolved.function.kind == FunctionKind::Procedure => {
                for (i, bound) in outputs {
                    if !self.fits_output(&resolved, call, i, bound)? {
                        return Err(undefined(self));
                    }
                }
                Ok((resolved.function, resolved.args))
            }
            Ok(_) => {
                let error = Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{shown} is not a procedure"))
                    .hint("To call a function, use SELECT.");
                Err(self.at(error, call.pos))
            }
            Err(error) if error.sqlstate() == SqlState::UNDEFINED_FUNCTION => Err(undefined(self)),
            Err(error) => Err(error),
        }
    }

    /// Whether an argument could stand for an output parameter of a procedure; a parameter of the statement in that place gets
    /// its type. Nobody computes it.
    fn fits_output(
        &mut self,
        resolved: &ResolvedCall,
        call: &ast::FuncCall,
        place: usize,
        bound: Expr,
    ) -> Result<bool> {
        let (function, arg) = (&resolved.function, &call.args[place]);
        let parameter = match &arg.name {
            Some(wanted) => function.arg_names.iter().position(|name| **name == **wanted).unwrap_or(place),
            None => place,
        };
        let actual: Vec<Oid> = resolved.args.iter().map(|arg| arg.ty().oid).collect();
        let declared = super::ddl::actual_type(
            self.catalog,
            function.all_arg_types[parameter],
            &function.arg_types,
            &actual,
        );
        let target = self.sql_type(declared);
        let fitted = self.coerce_to(bound, target, CoercionContext::Implicit, arg.value.pos())?;
        Ok(fitted.is_some())
    }

    /// Complaints about decorations that only aggregates and window functions take.
    fn check_plain_call(&self, call: &ast::FuncCall, kind: FunctionKind) -> Result<()> {
        let name = &call.name;
        let fail = |message: String| Err(self.at(Error::new(SqlState::WRONG_OBJECT_TYPE, message), call.pos));
        if kind == FunctionKind::Window {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("window function {name} requires an OVER clause"),
            );
            return Err(self.at(error, call.pos));
        }
        if kind == FunctionKind::Procedure {
            let error = Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is a procedure"))
                .hint("To call a procedure, use CALL.");
            return Err(self.at(error, call.pos));
        }
        if call.star {
            return fail(format!("{name}(*) specified, but {name} is not an aggregate function"));
        }
        if call.distinct {
            return fail(format!("DISTINCT specified, but {name} is not an aggregate function"));
        }
        if call.within_group {
            return fail(format!("WITHIN GROUP specified, but {name} is not an aggregate function"));
        }
        if !call.order_by.is_empty() {
            return fail(format!("ORDER BY specified, but {name} is not an aggregate function"));
        }
        if call.filter.is_some() {
            return fail(format!("FILTER specified, but {name} is not an aggregate function"));
        }
        Ok(())
    }

    /// Binds the arguments of an ordinary call and chooses the function.
    fn bind_function(
        &mut self,
        call: &ast::FuncCall,
        functions: &Overloads,
        scope: &Scope<'_>,
    ) -> Result<Resolution> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.bind_expr(&arg.value, scope)?);
        }
        let names: Vec<Option<&str>> = call.args.iter().map(|arg| arg.name.as_deref()).collect();
        let resolved = self.try_resolve(&call.name, functions, args, &names, call.variadic, call.pos)?;
        Ok(resolved)
    }

    /// For FROM: the function and its arguments, or an expression that is no call of the registry.
    pub(crate) fn bind_from_call(
        &mut self,
        call: &ast::FuncCall,
        scope: &Scope<'_>,
    ) -> Result<Result<ResolvedCall, Expr>> {
        let functions = &self.functions_of(call)?;
        let kind = functions.first().map_or(FunctionKind::Function, |function| function.kind);
        if kind == FunctionKind::Aggregate && call.over.is_none() {
            let error = Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in functions in FROM",
            );
            return Err(self.at(error, call.pos));
        }
        if call.over.is_some() {
            let error = Error::new(
                SqlState::WINDOWING_ERROR,
                "window functions are not allowed in functions in FROM",
            );
            return Err(self.at(error, call.pos));
        }
        // What is not there is not found before anything is wrong with the call.
        if !functions.is_empty() {
            self.check_plain_call(call, kind)?;
        }
        Ok(match self.bind_function(call, functions, scope)? {
            Resolution::Call(resolved) => Ok(resolved),
            Resolution::Cast(expr) => Err(expr),
        })
    }

    /// A call of a function by name with bound arguments.
    pub(crate) fn resolve_call(
        &mut self,
        name: &'static str,
        functions: &Overloads,
        args: Vec<Expr>,
        names: &[Option<&str>],
        variadic: bool,
        pos: Pos,
    ) -> Result<Expr> {
        let name = ast::ObjectName::system(name, pos);
        Ok(match self.try_resolve(&name, functions, args, names, variadic, pos)? {
            Resolution::Call(resolved) => self.call_expr(resolved, pos),
            Resolution::Cast(expr) => expr,
        })
    }

    fn try_resolve(
        &mut self,
        name: &ast::ObjectName,
        functions: &Overloads,
        mut args: Vec<Expr>,
        names: &[Option<&str>],
        variadic: bool,
        pos: Pos,
    ) -> Result<Resolution> {
        // JDBC's `{? = call f(?)}` gives the result a parameter of its own, of type void, as the first argument.
        let names = match args.first() {
            Some(Expr::Parameter { ty, .. }) if ty.oid == oids::VOID => {
                args.remove(0);
                &names[1..]
            }
            _ => names,
        };
        let actual: Vec<Oid> = args.iter().map(|arg| arg.ty().oid).collect();
        let found = candidates(functions, actual.len(), names, !variadic);
        let exact = found.iter().any(|candidate| candidate.types.as_slice() == actual);
        // A function-like cast is tried before inexact matches.
        if !exact
            && actual.len() == 1
            && names.iter().all(Option::is_none)
            && let Some(target) = self.type_named(name)
        {
            let source = args[0].ty();
            let castable = source.oid == oids::UNKNOWN
                || matches!(
                    pathway(self.catalog, source, target, CoercionContext::Explicit),
                    Some(Pathway::Kind(CastKind::Relabel | CastKind::Io))
                );
            if castable {
                let mut args = args;
                let arg = args.remove(0);
                return match self.coerce_to(arg, target, CoercionContext::Explicit, pos)? {
                    Some(expr) => Ok(Resolution::Cast(expr)),
                    None => Err(self.cannot_cast(source, target, pos)),
                };
            }
        }
        match choose_function(self.catalog, found, &actual) {
            Choice::One(candidate) => {
                if let FunctionRef::User(function) = &candidate.function {
                    self.note_function(name, function.oid);
                }
                let resolved = self.fit_call(candidate, args, variadic, pos)?;
                Ok(Resolution::Call(resolved))
            }
            Choice::Ambiguous => {
                let error = Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("function {} is not unique", self.call_text(name, &args, names)),
                )
                .hint(
                    "Could not choose a best candidate function. You might need to add explicit type casts.",
                );
                Err(self.at(error, pos))
            }
            Choice::None => {
                // `f(t)` is another way to write the field `t.f` of a row.
                if let [row] = args.as_slice()
                    && names.iter().all(Option::is_none)
                    && name.schema().is_none()
                    && row.ty().physical == PhysicalType::Record
                    && let Some(fields) = self.record_fields(row.ty())
                    && fields.iter().any(|(field, _)| **field == **name.name())
                {
                    return Ok(Resolution::Cast(self.bind_field(row.clone(), name.name(), pos)?));
                }
                Err(self.undefined_function(name, &args, names, pos))
            }
        }
    }

    /// 42883.
    fn undefined_function(
        &self,
        name: &ast::ObjectName,
        args: &[Expr],
        names: &[Option<&str>],
        pos: Pos,
    ) -> Error {
        let error = Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {} does not exist", self.call_text(name, args, names)),
        )
        .hint("No function matches the given name and argument types. You might need to add explicit type casts.");
        self.at(error, pos)
    }

    fn call_text(&self, name: &ast::ObjectName, args: &[Expr], names: &[Option<&str>]) -> String {
        let types: Vec<String> = args
            .iter()
            .enumerate()
            .map(|(i, arg)| match names.get(i).copied().flatten() {
                Some(name) => format!("{name} => {}", self.type_text(arg.ty())),
                None => self.type_text(arg.ty()),
            })
            .collect();
        format!("{name}({})", types.join(", "))
    }

    /// Converts arguments, fills in defaults and gathers variadic ones.
    fn fit_call(
        &mut self,
        candidate: Candidate,
        args: Vec<Expr>,
        variadic: bool,
        pos: Pos,
    ) -> Result<ResolvedCall> {
        let function = candidate.function;
        let variadic_array = variadic && function.variadic == oids::ANY;
        let (args, ty) = self.fit_arguments(args, &candidate.types, function.return_type, pos)?;
        let mut args = match candidate.mapping {
            Some(mapping) => {
                let mut given: Vec<Option<Expr>> = args.into_iter().map(Some).collect();
                let first_default = function.arg_types.len() - function.default_count;
                let mut complete = Vec::with_capacity(mapping.len());
                for (i, argument) in mapping.iter().enumerate() {
                    complete.push(match argument {
                        Some(argument) => given[*argument]
                            .take()
                            .ok_or_else(|| Error::internal("an argument fills two parameters"))?,
                        None => self.bind_argument_default(&function, i, i - first_default, pos)?,
                    });
                }
                complete
            }
            None => args,
        };
        if candidate.variadic > 0 {
            let elements = args.split_off(args.len() - candidate.variadic);
            let element = elements.first().map_or(oids::TEXT, |element| element.ty().oid);
            let Some(array) = self.catalog.array_over(element) else {
                return Err(self.no_array_type(self.sql_type(element), pos));
            };
            args.push(Expr::ArrayLiteral { elements, nested: false, ty: self.sql_type(array) });
        }
        let mut call = ResolvedCall { function, args, variadic_array, ty };
        if ty.oid == oids::RECORD {
            let outputs = self.function_columns(&call);
            if !outputs.is_empty() {
                call.ty = ochre_types::named_record_type(&outputs);
            }
        }
        Ok(call)
    }

    fn bind_argument_default(
        &mut self,
        function: &FunctionRef,
        parameter: usize,
        default: usize,
        pos: Pos,
    ) -> Result<Expr> {
        let Some(text) = function.defaults.get(default) else {
            return Err(Error::internal(format!("function {} lacks a default", function.name)));
        };
        let parsed = stored_text::expression(text)?;
        let target = function.arg_types[parameter];
        self.without_positions(|binder| {
            let root = Scope::root(Default::default());
            let bound = binder.in_level(Clause::Other, 0, |binder| binder.bind_expr(&parsed, &root))?;
            binder.coerce_implicit(bound, target, pos)
        })
    }

    /// Binds an aggregate of the query at hand.
    fn bind_aggregate(
        &mut self,
        call: &ast::FuncCall,
        functions: &Overloads,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let aggregate = self.bind_aggregate_call(call, functions, scope)?;
        self.add_aggregate(aggregate, scope, call.pos)
    }

    /// Notes an aggregate with the query that it belongs to; the column that it becomes.
    pub(super) fn add_aggregate(
        &mut self,
        aggregate: AggregateExpr,
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<Expr> {
        let owner = self.aggregate_owner(&aggregate, scope, pos)?;
        self.check_aggregate_allowed(owner, pos)?;
        let exprs = aggregate.args.iter().chain(&aggregate.filter).chain(&aggregate.direct_args);
        let nested = exprs
            .flat_map(Expr::columns)
            .any(|id| self.levels[owner].aggregates.iter().any(|(known, _)| *known == id));
        if nested {
            let error = Error::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested");
            return Err(self.at(error, pos));
        }
        let ty = aggregate.ty;
        if let Some((id, _)) = self.levels[owner].aggregates.iter().find(|(_, known)| *known == aggregate) {
            let volatile =
                aggregate.args.iter().any(|arg| arg.volatility() == ochre_expr::Volatility::Volatile);
            if !volatile {
                return Ok(Expr::Column { index: *id, ty });
            }
        }
        let depth = self.levels[owner].depth;
        let id = self.new_column(&*aggregate.function.0.function.name, ty, depth);
        self.levels[owner].aggregates.push((id, aggregate));
        Ok(self.column_expr(id))
    }

    /// The query that an aggregate belongs to, as an index of `levels`: the innermost one whose columns it reads, or the one
    /// that it stands in when it reads none.
    fn aggregate_owner(&self, aggregate: &AggregateExpr, scope: &Scope<'_>, pos: Pos) -> Result<usize> {
        let mut ids = Vec::new();
        let exprs = aggregate.args.iter().chain(aggregate.order_by.iter().map(|key| &key.expr));
        for expr in exprs.chain(&aggregate.filter).chain(&aggregate.direct_args) {
            ids.extend(expr.columns());
            self.subquery_mentions(expr, &mut ids);
        }
        let owner = self.owning_level(ids, scope, pos)?;
        let depth = self.levels[owner].depth;
        if depth < scope.depth && self.reads_ctes_within(aggregate, depth, scope.depth) {
            // The names of a WITH of the query that the call stands in mean nothing around it.
            return Err(self.at(Error::unsupported("an outer query's aggregate of a WITH query"), pos));
        }
        Ok(owner)
    }

    /// The innermost query whose columns are among these, as an index of `levels`; the one being bound when there is none.
    fn owning_level(&self, ids: Vec<ColumnId>, scope: &Scope<'_>, pos: Pos) -> Result<usize> {
        let here = self.levels.len() - 1;
        // Deeper columns are those of subqueries in the arguments.
        let depths = ids.into_iter().map(|id| self.columns[id].depth).filter(|depth| *depth <= scope.depth);
        let Some(depth) = depths.max().filter(|depth| *depth < scope.depth) else { return Ok(here) };
        match self.levels.iter().rposition(|level| level.depth == depth) {
            Some(owner) => Ok(owner),
            None => Err(self.at(Error::unsupported("an aggregate of an outer query in a subquery"), pos)),
        }
    }

    /// Whether the subqueries of an aggregate's arguments read entries of a WITH that belongs to a query deeper than `depth`
    /// and no deeper than `here`, where the aggregate stands.
    fn reads_ctes_within(&self, aggregate: &AggregateExpr, depth: u32, here: u32) -> bool {
        let mut ctes = Vec::new();
        let exprs = aggregate.args.iter().chain(aggregate.order_by.iter().map(|key| &key.expr));
        for expr in exprs.chain(&aggregate.filter).chain(&aggregate.direct_args) {
            self.subquery_ctes(expr, &mut ctes);
        }
        // An entry is one deeper than the query that its WITH belongs to.
        let within = |depth_of_entry: u32| depth_of_entry > depth + 1 && depth_of_entry <= here + 1;
        ctes.into_iter().any(|cte| self.ctes[cte].as_ref().is_none_or(|cte| within(cte.depth)))
    }

    /// Adds every entry of WITH that the subqueries of an expression read.
    fn subquery_ctes(&self, expr: &Expr, found: &mut Vec<usize>) {
        let _ = expr.walk(&mut |node| {
            if let Expr::SubPlan { plan, .. } = node
                && let Some(Some(subquery)) = self.subqueries.get(*plan)
            {
                self.plan_ctes(&subquery.query.plan, found);
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
    }

    fn plan_ctes(&self, plan: &Logical, found: &mut Vec<usize>) {
        if let Logical::CteScan { cte, .. } = plan {
            found.push(*cte);
        }
        crate::walk::each_expr(plan, &mut |expr| self.subquery_ctes(expr, found));
        for input in crate::walk::inputs(plan) {
            self.plan_ctes(input, found);
        }
    }

    /// Binds an aggregate call, as an aggregate or over a window.
    pub(crate) fn bind_aggregate_call(
        &mut self,
        call: &ast::FuncCall,
        functions: &Overloads,
        scope: &Scope<'_>,
    ) -> Result<AggregateExpr> {
        if self.levels.is_empty() {
            return Err(Error::internal("an aggregate outside of a query"));
        }
        let outer = std::mem::replace(&mut self.level()?.in_aggregate, true);
        let result = self.bind_aggregate_parts(call, functions, scope);
        self.level()?.in_aggregate = outer;
        result
    }

    fn bind_aggregate_parts(
        &mut self,
        call: &ast::FuncCall,
        functions: &Overloads,
        scope: &Scope<'_>,
    ) -> Result<AggregateExpr> {
        let name = &call.name;
        if call.args.is_empty() && !call.star && !call.within_group {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}(*) must be used to call a parameterless aggregate function"),
            );
            if functions.any(|function| function.arg_types.is_empty()) {
                return Err(self.at(error, call.pos));
            }
        }
        // Direct arguments are the group's: they mention what the query groups by.
        let around = self.level()?.in_aggregate;
        self.level()?.in_aggregate = around && !call.within_group;
        let args = self.bind_aggregate_arguments(call, scope);
        self.level()?.in_aggregate = around;
        let args = args?;
        let filter = match &call.filter {
            Some(filter) => Some(self.bind_filter(filter, scope)?),
            None => None,
        };
        if call.within_group {
            return self.bind_ordered_set(call, functions, args, filter, scope);
        }
        let resolved = match self.try_resolve(name, functions, args, &[], call.variadic, call.pos)? {
            Resolution::Call(resolved) => resolved,
            Resolution::Cast(_) => return Err(Error::internal("an aggregate became a cast")),
        };
        let aggregate = self.aggregate_of(&resolved.function, &resolved.args, call)?;
        if aggregate.kind != AggregateKind::Normal {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
            );
            return Err(self.at(error, call.pos));
        }
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            let expr = self.bind_expr(&item.expr, scope)?;
            let expr = self.resolve_unknown(expr, item.expr.pos())?;
            order_by.push(self.sort_key(item, expr)?);
        }
        if call.distinct {
            for arg in &resolved.args {
                self.require_ordering(arg.ty(), true, call.pos)?;
            }
            for key in &mut order_by {
                // A column is the argument that an implicit cast made of it.
                let written = |(arg, written): &(&Expr, &ast::FuncArg)| {
                    !matches!(written.value, ast::Expr::Cast(_)) && *strip_relabel(arg) == key.expr
                };
                if let Some((arg, _)) = resolved.args.iter().zip(&call.args).find(written) {
                    key.expr = arg.clone();
                }
            }
            let among = |key: &Ordering| resolved.args.contains(&key.expr);
            if !order_by.iter().all(among) {
                let error = Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                );
                return Err(self.at(error, call.order_by[0].expr.pos()));
            }
            if resolved.args.is_empty() {
                let error = Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "DISTINCT specified, but aggregate has no arguments",
                );
                return Err(self.at(error, call.pos));
            }
        }
        let mut args = Vec::with_capacity(resolved.args.len());
        for arg in resolved.args {
            args.push(self.resolve_unknown(arg, call.pos)?);
        }
        Ok(AggregateExpr {
            function: AggregateFunction(aggregate),
            args,
            direct_args: Vec::new(),
            distinct: call.distinct,
            order_by,
            filter,
            ty: resolved.ty,
        })
    }

    fn bind_aggregate_arguments(&mut self, call: &ast::FuncCall, scope: &Scope<'_>) -> Result<Vec<Expr>> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            if arg.name.is_some() {
                return Err(self.at(Error::unsupported("a named argument of an aggregate"), call.pos));
            }
            args.push(self.bind_expr(&arg.value, scope)?);
        }
        Ok(args)
    }

    /// The condition of FILTER.
    pub(super) fn bind_filter(&mut self, filter: &ast::Expr, scope: &Scope<'_>) -> Result<Expr> {
        let around = self.level()?.no_sets.replace("FILTER");
        let bound = self.bind_expr(filter, scope);
        self.level()?.no_sets = around;
        self.coerce_to_boolean(bound?, "FILTER", filter.pos())
    }

    /// The aggregate that a function is, for arguments of these types.
    fn aggregate_of(
        &self,
        function: &FunctionRef,
        args: &[Expr],
        call: &ast::FuncCall,
    ) -> Result<AggregateRef> {
        let known = match function {
            FunctionRef::Builtin(function) => ochre_expr::aggregate(function.oid).map(AggregateRef::Builtin),
            FunctionRef::User(function) => match self.catalog.routine(function.oid) {
                Some(routine) => match &routine.aggregate {
                    Some(aggregate) => Some(self.called_aggregate(function, aggregate, args)?),
                    None => None,
                },
                None => None,
            },
        };
        known.ok_or_else(|| {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("function {} is not an aggregate function", call.name),
            );
            self.at(error, call.pos)
        })
    }

    /// A user's aggregate with its functions and the type that its state has for these arguments.
    fn called_aggregate(
        &self,
        own: &Arc<Function>,
        aggregate: &AggregateDescriptor,
        args: &[Expr],
    ) -> Result<AggregateRef> {
        let function = |oid: Oid| -> Result<FunctionRef> {
            let user =
                || self.catalog.routine(oid).map(|routine| FunctionRef::User(Arc::clone(&routine.function)));
            let found = ochre_expr::function(oid).map(FunctionRef::Builtin).or_else(user);
            found.ok_or_else(|| Error::internal(format!("function {oid} of an aggregate is not there")))
        };
        let state = match is_polymorphic(aggregate.state) {
            true => {
                let actual: Vec<Oid> = args.iter().map(|arg| arg.ty().oid).collect();
                let resolved = resolve_polymorphic(self.catalog, &actual, &own.arg_types);
                resolved.and_then(|resolved| resolved.actual(self.catalog, aggregate.state)).ok_or_else(
                    || {
                        Error::new(
                            SqlState::DATATYPE_MISMATCH,
                            "could not determine the type of an aggregate's state",
                        )
                    },
                )?
            }
            false => aggregate.state,
        };
        let state = self.sql_type(state);
        let initial = match &aggregate.initial {
            Some(text) => ochre_types::parse_text(state, text, self.session.format())?,
            None => Datum::Null,
        };
        let [transition, finish, ..] = aggregate.functions;
        let called = CalledAggregate {
            transition: function(transition)?,
            state,
            initial,
            finish: if finish.is_valid() { Some(function(finish)?) } else { None },
        };
        Ok(AggregateRef::User(Arc::new(Aggregate {
            function: FunctionRef::User(Arc::clone(own)),
            kind: AggregateKind::Normal,
            direct_arg_count: 0,
            // Ordering by it is an optimization for what an index can tell.
            sort_operator: Oid::INVALID,
            support_functions: aggregate.functions,
            transition_type: state.oid,
            moving_transition_type: Oid::INVALID,
            transition_space: 0,
            moving_transition_space: 0,
            final_extra: [aggregate.final_extra, false],
            final_modify: [b'r', b'r'],
            initial: [None, None],
            called: Some(called),
        })))
    }

    /// `f(direct) WITHIN GROUP (ORDER BY aggregated)`.
    fn bind_ordered_set(
        &mut self,
        call: &ast::FuncCall,
        functions: &Overloads,
        direct: Vec<Expr>,
        filter: Option<Expr>,
        scope: &Scope<'_>,
    ) -> Result<AggregateExpr> {
        let direct_count = direct.len();
        let mut args = direct;
        for item in &call.order_by {
            let bound = self.bind_expr(&item.expr, scope)?;
            args.push(bound);
        }
        let resolved = match self.try_resolve(&call.name, functions, args, &[], call.variadic, call.pos)? {
            Resolution::Call(resolved) => resolved,
            Resolution::Cast(_) => return Err(Error::internal("an aggregate became a cast")),
        };
        let aggregate = self.aggregate_of(&resolved.function, &resolved.args, call)?;
        match aggregate.kind {
            AggregateKind::OrderedSet => {}
            AggregateKind::Normal | AggregateKind::HypotheticalSet => {
                let error = Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("{} is not an ordered-set aggregate, so it cannot have WITHIN GROUP", call.name),
                );
                return Err(self.at(error, call.pos));
            }
        }
        let mut direct_args = resolved.args;
        let aggregated = direct_args.split_off(direct_count);
        let mut order_by = Vec::with_capacity(aggregated.len());
        for (item, expr) in call.order_by.iter().zip(&aggregated) {
            order_by.push(self.sort_key(item, expr.clone())?);
        }
        Ok(AggregateExpr {
            function: AggregateFunction(aggregate),
            args: aggregated,
            direct_args,
            distinct: call.distinct,
            order_by,
            filter,
            ty: resolved.ty,
        })
    }

    /// A call with OVER.
    fn bind_window_call(
        &mut self,
        call: &ast::FuncCall,
        over: &ast::Over,
        functions: &Overloads,
        kind: FunctionKind,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        self.check_window_allowed(call.pos)?;
        if kind == FunctionKind::Function && !functions.is_empty() {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "OVER specified, but {} is not a window function nor an aggregate function",
                    call.name
                ),
            );
            return Err(self.at(error, call.pos));
        }
        let outer = std::mem::replace(&mut self.level()?.in_window, true);
        let result = self.bind_window_parts(call, over, functions, kind, scope);
        self.level()?.in_window = outer;
        let (definition, bound, ty) = result?;
        // The same call over the same window is computed once.
        let mut known = self.level()?.windows.iter().filter(|(known, _)| *known == definition);
        let same = known.find_map(|(_, calls)| calls.iter().find(|(_, known)| *known == bound));
        if let Some(id) = same.map(|(id, _)| *id).filter(|_| !bound.is_volatile()) {
            return Ok(self.column_expr(id));
        }
        let id = self.new_column(&**call.name.name(), ty, scope.depth);
        let windows = &mut self.level()?.windows;
        match windows.iter_mut().find(|(known, _)| *known == definition) {
            Some((_, calls)) => calls.push((id, bound)),
            None => windows.push((definition, vec![(id, bound)])),
        }
        Ok(self.column_expr(id))
    }

    fn bind_window_parts(
        &mut self,
        call: &ast::FuncCall,
        over: &ast::Over,
        functions: &Overloads,
        kind: FunctionKind,
        scope: &Scope<'_>,
    ) -> Result<(super::window::WindowDefinition, WindowExpr, SqlType)> {
        let unsupported = |what: &str| {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{what} is not implemented for window functions"),
            );
            Err(self.at(error, call.pos))
        };
        if call.distinct {
            return unsupported("DISTINCT");
        }
        if !call.order_by.is_empty() {
            return unsupported("aggregate ORDER BY");
        }
        let definition = self.bind_over(over, scope)?;
        let met = self.sets_met();
        if kind == FunctionKind::Aggregate {
            let outer = self.level()?.in_aggregate;
            // Arguments of an aggregate over a window may contain plain aggregates of the query.
            let aggregate = self.bind_aggregate_parts(call, functions, scope)?;
            self.level()?.in_aggregate = outer;
            self.refuse_sets_since(met, SET_IN_WINDOW)?;
            let aggregates = &self.level()?.aggregates;
            let is_aggregate = |id: ColumnId| aggregates.iter().any(|(known, _)| *known == id);
            if aggregate.filter.as_ref().is_some_and(|filter| filter.columns().into_iter().any(is_aggregate))
            {
                let message = "aggregate functions are not allowed in FILTER";
                return Err(self.at(Error::new(SqlState::GROUPING_ERROR, message), call.pos));
            }
            let ty = aggregate.ty;
            return Ok((definition, WindowExpr::Aggregate(aggregate), ty));
        }
        if call.filter.is_some() {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "FILTER is not implemented for non-aggregate window functions",
            );
            return Err(self.at(error, call.pos));
        }
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.bind_expr(&arg.value, scope)?);
        }
        self.refuse_sets_since(met, SET_IN_WINDOW)?;
        match self.try_resolve(&call.name, functions, args, &[], false, call.pos)? {
            Resolution::Call(resolved) => {
                let ty = resolved.ty;
                let function = resolved.function;
                Ok((definition, WindowExpr::Function { function, args: resolved.args, ty }, ty))
            }
            Resolution::Cast(_) => Err(Error::internal("a window function became a cast")),
        }
    }

    /// `GROUPING(a, b)`: resolved when the keys are known.
    pub(crate) fn bind_grouping(&mut self, list: &ast::ListExpr, scope: &Scope<'_>) -> Result<Expr> {
        if list.args.len() > 31 {
            let error =
                Error::new(SqlState::TOO_MANY_ARGUMENTS, "GROUPING must have fewer than 32 arguments");
            return Err(self.at(error, list.pos));
        }
        if self.levels.is_empty() {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                "arguments to GROUPING must be grouping expressions of the associated query level",
            ));
        }
        let around = std::mem::replace(&mut self.level()?.in_aggregate, true);
        let met = self.sets_met();
        let mut args = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            args.push(self.bind_expr(arg, scope)?);
        }
        self.level()?.in_aggregate = around;
        self.refuse_sets_since(met, SET_IN_AGGREGATE)?;
        let ids = args.iter().flat_map(Expr::columns).collect();
        let owner = self.owning_level(ids, scope, list.pos)?;
        self.check_aggregate_allowed(owner, list.pos)?;
        let id = self.new_column("grouping", SqlType::INT4, self.levels[owner].depth);
        let from_subquery = self.levels[owner].depth < scope.depth;
        self.levels[owner].groupings.push(GroupingCall { id, args, pos: list.pos, from_subquery });
        Ok(self.column_expr(id))
    }

    /// Names and types of a record-returning function's columns when its definition fixes them.
    pub(crate) fn function_columns(&self, call: &ResolvedCall) -> Vec<(Arc<str>, SqlType)> {
        let outputs = call.function.output_columns();
        if outputs.is_empty() {
            return Vec::new();
        }
        let actual: Vec<Oid> = call.args.iter().map(|arg| arg.ty().oid).collect();
        let polymorphic = outputs.iter().any(|(_, ty)| is_polymorphic(*ty));
        let resolved = polymorphic
            .then(|| resolve_polymorphic(self.catalog, &actual, &call.function.arg_types))
            .flatten()
            .unwrap_or_default();
        outputs
            .into_iter()
            .map(|(name, ty)| {
                (Arc::from(name), self.sql_type(resolved.actual(self.catalog, ty).unwrap_or(ty)))
            })
            .collect()
    }

    /// A constant bigint.
    pub(crate) fn bigint(value: i64) -> Expr {
        Expr::constant(Datum::Int64(value), SqlType::INT8)
    }
}

/// Whether built-in functions are of `pg_catalog`, as nearly all are.
fn all_of_catalog(functions: &[&Function]) -> bool {
    !functions.iter().any(|function| function.is_of_information_schema())
}
