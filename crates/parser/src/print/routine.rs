//! Functions, aggregates, operators, casts, types, triggers and rules.

use super::Printer;
use crate::ast::*;

impl Printer {
    pub(super) fn create_function(&mut self, stmt: &CreateFunctionStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE" } else { "CREATE" });
        self.word(if stmt.procedure { "PROCEDURE" } else { "FUNCTION" });
        self.object_name(&stmt.name);
        let table = |p: &&FunctionParameter| p.mode == ParameterMode::Table;
        let params: Vec<_> = stmt.params.iter().filter(|p| !table(p)).collect();
        let columns: Vec<_> = stmt.params.iter().filter(table).collect();
        self.call_parens(|p| p.list(&params, |p, param| p.parameter(param)));
        if !columns.is_empty() {
            self.word("RETURNS TABLE");
            self.parens(|p| p.list(&columns, |p, param| p.parameter(param)));
        }
        if let Some(returns) = &stmt.returns {
            self.word("RETURNS");
            self.type_name(returns);
        }
        self.function_options(&stmt.options);
        match &stmt.sql_body {
            None => {}
            Some(SqlBody::Return(expr)) => {
                self.word("RETURN");
                self.expr(expr);
            }
            Some(SqlBody::Atomic(statements)) => {
                self.word("BEGIN ATOMIC");
                for statement in statements {
                    self.statement(statement);
                    self.tight(";");
                }
                self.word("END");
            }
        }
    }

    fn parameter(&mut self, parameter: &FunctionParameter) {
        self.word(match parameter.mode {
            ParameterMode::Default | ParameterMode::Table => "",
            ParameterMode::In => "IN",
            ParameterMode::Out => "OUT",
            ParameterMode::InOut => "INOUT",
            ParameterMode::Variadic => "VARIADIC",
        });
        if matches!(parameter.mode, ParameterMode::Default | ParameterMode::Table) {
            self.glue = true;
        }
        if let Some(name) = &parameter.name {
            self.name(name);
        }
        self.type_name(&parameter.type_name);
        if let Some(default) = &parameter.default {
            self.word("DEFAULT");
            self.expr(default);
        }
    }

    fn function_options(&mut self, options: &[FunctionOption]) {
        for option in options {
            self.function_option(&option.kind);
        }
    }

    fn function_option(&mut self, option: &FunctionOptionKind) {
        use FunctionOptionKind as F;
        match option {
            F::As(body, symbol) => {
                self.words_and_string("AS", body);
                if let Some(symbol) = symbol {
                    self.tight(",");
                    self.string(symbol);
                }
            }
            // A language may be given as a string, which need not fit an identifier.
            F::Language(name) if super::quote_identifier(name) == name.as_str() => {
                self.words_and_name("LANGUAGE", name);
            }
            F::Language(name) => self.words_and_string("LANGUAGE", name),
            F::Transform(types) => {
                self.word("TRANSFORM");
                self.list(types, |p, type_name| {
                    p.word("FOR TYPE");
                    p.type_name(type_name);
                });
            }
            F::Window => self.word("WINDOW"),
            F::Strict(true) => self.word("STRICT"),
            F::Strict(false) => self.word("CALLED ON NULL INPUT"),
            F::Volatility(Volatility::Immutable) => self.word("IMMUTABLE"),
            F::Volatility(Volatility::Stable) => self.word("STABLE"),
            F::Volatility(Volatility::Volatile) => self.word("VOLATILE"),
            F::SecurityDefiner(true) => self.word("SECURITY DEFINER"),
            F::SecurityDefiner(false) => self.word("SECURITY INVOKER"),
            F::Leakproof(true) => self.word("LEAKPROOF"),
            F::Leakproof(false) => self.word("NOT LEAKPROOF"),
            F::Cost(number) => {
                self.word("COST");
                self.number(number);
            }
            F::Rows(number) => {
                self.word("ROWS");
                self.number(number);
            }
            F::Support(name) => self.words_and_object("SUPPORT", name),
            F::Set(set) => self.set(set),
            F::Parallel(word) => self.words_and_name("PARALLEL", word),
        }
    }

    pub(super) fn alter_function(&mut self, stmt: &AlterFunctionStmt) {
        self.word("ALTER");
        self.word(stmt.kind.as_sql());
        self.routine_signature(&stmt.signature);
        self.function_options(&stmt.options);
    }

    pub(super) fn routine_signature(&mut self, signature: &RoutineSignature) {
        self.object_name(&signature.name);
        match &signature.args {
            None => {}
            Some(SignatureArgs::Params(params)) => {
                self.call_parens(|p| p.list(params, |p, param| p.parameter(param)));
            }
            Some(SignatureArgs::Aggregate(args)) => self.aggregate_args(args),
        }
    }

    fn aggregate_args(&mut self, args: &AggregateArgs) {
        self.call_parens(|p| {
            p.word_if(args.star, "*");
            p.list(&args.direct, |p, param| p.parameter(param));
            if let Some(ordered) = &args.ordered {
                p.word("ORDER BY");
                p.list(ordered, |p, param| p.parameter(param));
            }
        });
    }

    pub(super) fn operator_signature(&mut self, signature: &OperatorSignature) {
        self.bare_operator(&signature.op);
        self.operator_types(signature.left.as_ref(), signature.right.as_ref());
    }

    fn operator_types(&mut self, left: Option<&TypeName>, right: Option<&TypeName>) {
        let side = |p: &mut Self, type_name: Option<&TypeName>| match type_name {
            Some(type_name) => p.type_name(type_name),
            None => p.word("NONE"),
        };
        self.parens(|p| {
            side(p, left);
            p.tight(",");
            side(p, right);
        });
    }

    pub(super) fn define(&mut self, stmt: &DefineStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE" } else { "CREATE" });
        self.word(stmt.kind.as_sql());
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        match &stmt.name {
            DefineName::Name(name) => self.object_name(name),
            DefineName::Operator(op) => self.bare_operator(op),
        }
        if let Some(args) = &stmt.args {
            self.aggregate_args(args);
        }
        if let Some(from) = &stmt.from {
            self.words_and_object("FROM", from);
        }
        if let Some(definition) = &stmt.definition {
            self.definition(definition);
        }
    }

    /// A definition where a missing value is written NONE.
    pub(super) fn definition_with_none(&mut self, options: &[DefElem]) {
        self.parens(|p| {
            p.list(options, |p, option| {
                p.utility_option(&DefElem { value: None, ..option.clone() });
                p.word("=");
                match &option.value {
                    Some(value) => p.def_value(value),
                    None => p.word("NONE"),
                }
            });
        });
    }

    pub(super) fn create_operator_class(&mut self, stmt: &CreateOperatorClassStmt) {
        self.words_and_object("CREATE OPERATOR CLASS", &stmt.name);
        self.word_if(stmt.default, "DEFAULT");
        self.word("FOR TYPE");
        self.type_name(&stmt.data_type);
        self.words_and_name("USING", &stmt.method);
        if let Some(family) = &stmt.family {
            self.words_and_object("FAMILY", family);
        }
        self.word("AS");
        self.list(&stmt.items, |p, item| p.operator_class_item(item));
    }

    fn operator_class_item(&mut self, item: &OperatorClassItem) {
        match item {
            OperatorClassItem::Operator { number, op, order_family } => {
                self.word(&format!("OPERATOR {number}"));
                self.bare_operator(&op.op);
                if let Some((left, right)) = &op.types {
                    self.operator_types(left.as_ref(), right.as_ref());
                }
                if let Some(family) = order_family {
                    self.words_and_object("FOR ORDER BY", family);
                }
            }
            OperatorClassItem::Function { number, types, function } => {
                self.word(&format!("FUNCTION {number}"));
                self.optional_parens(types, |p, type_name| p.type_name(type_name));
                self.routine_signature(function);
            }
            OperatorClassItem::Storage(type_name) => {
                self.word("STORAGE");
                self.type_name(type_name);
            }
        }
    }

    pub(super) fn alter_operator_family(&mut self, stmt: &AlterOperatorFamilyStmt) {
        self.words_and_object("ALTER OPERATOR FAMILY", &stmt.name);
        self.words_and_name("USING", &stmt.method);
        match &stmt.action {
            OperatorFamilyAction::Add(items) => {
                self.word("ADD");
                self.list(items, |p, item| p.operator_class_item(item));
            }
            OperatorFamilyAction::Drop(items) => {
                self.word("DROP");
                self.list(items, |p, item| {
                    let word = if item.function { "FUNCTION" } else { "OPERATOR" };
                    p.word(&format!("{word} {}", item.number));
                    p.optional_parens(&item.types, |p, type_name| p.type_name(type_name));
                });
            }
        }
    }

    pub(super) fn create_cast(&mut self, stmt: &CreateCastStmt) {
        self.word("CREATE CAST");
        self.cast_types(&stmt.source, &stmt.target);
        match &stmt.method {
            CastMethod::Function(signature) => {
                self.word("WITH FUNCTION");
                self.routine_signature(signature);
            }
            CastMethod::WithoutFunction => self.word("WITHOUT FUNCTION"),
            CastMethod::InOut => self.word("WITH INOUT"),
        }
        match stmt.context {
            CastContext::Explicit => {}
            CastContext::Assignment => self.word("AS ASSIGNMENT"),
            CastContext::Implicit => self.word("AS IMPLICIT"),
        }
    }

    pub(super) fn create_conversion(&mut self, stmt: &CreateConversionStmt) {
        self.word(if stmt.default { "CREATE DEFAULT CONVERSION" } else { "CREATE CONVERSION" });
        self.object_name(&stmt.name);
        self.words_and_string("FOR", &stmt.from_encoding);
        self.words_and_string("TO", &stmt.to_encoding);
        self.words_and_object("FROM", &stmt.function);
    }

    pub(super) fn create_transform(&mut self, stmt: &CreateTransformStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE TRANSFORM FOR" } else { "CREATE TRANSFORM FOR" });
        self.type_name(&stmt.type_name);
        self.words_and_name("LANGUAGE", &stmt.language);
        self.parens(|p| {
            if let Some(function) = &stmt.from_sql {
                p.word("FROM SQL WITH FUNCTION");
                p.routine_signature(function);
            }
            if let Some(function) = &stmt.to_sql {
                if stmt.from_sql.is_some() {
                    p.tight(",");
                }
                p.word("TO SQL WITH FUNCTION");
                p.routine_signature(function);
            }
        });
    }

    pub(super) fn create_language(&mut self, stmt: &CreateLanguageStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE" } else { "CREATE" });
        self.word_if(stmt.trusted, "TRUSTED");
        self.words_and_name("LANGUAGE", &stmt.name);
        for (word, name) in
            [("HANDLER", &stmt.handler), ("INLINE", &stmt.inline), ("VALIDATOR", &stmt.validator)]
        {
            if let Some(name) = name {
                self.words_and_object(word, name);
            }
        }
    }

    pub(super) fn create_type(&mut self, stmt: &CreateTypeStmt) {
        self.words_and_object("CREATE TYPE", &stmt.name);
        match &stmt.kind {
            CreateTypeKind::Composite(columns) => {
                self.word("AS");
                self.parens(|p| p.list(columns, |p, column| p.column_def(column)));
            }
            CreateTypeKind::Enum(labels) => {
                self.word("AS ENUM");
                self.parens(|p| p.strings(labels));
            }
            CreateTypeKind::Range(definition) => {
                self.word("AS RANGE");
                self.definition(definition);
            }
        }
    }

    pub(super) fn alter_enum(&mut self, stmt: &AlterEnumStmt) {
        self.words_and_object("ALTER TYPE", &stmt.name);
        match &stmt.action {
            AlterEnumAction::Add { value, if_not_exists, place } => {
                self.word("ADD VALUE");
                self.word_if(*if_not_exists, "IF NOT EXISTS");
                self.string(value);
                match place {
                    None => {}
                    Some(EnumPlace::Before(other)) => self.words_and_string("BEFORE", other),
                    Some(EnumPlace::After(other)) => self.words_and_string("AFTER", other),
                }
            }
            AlterEnumAction::Rename { from, to } => {
                self.words_and_string("RENAME VALUE", from);
                self.words_and_string("TO", to);
            }
        }
    }

    pub(super) fn create_domain(&mut self, stmt: &CreateDomainStmt) {
        self.words_and_object("CREATE DOMAIN", &stmt.name);
        self.word("AS");
        self.type_name(&stmt.type_name);
        self.collation(stmt.collation.as_ref());
        for constraint in &stmt.constraints {
            self.column_constraint(constraint);
        }
    }

    pub(super) fn create_trigger(&mut self, stmt: &CreateTriggerStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE" } else { "CREATE" });
        self.word_if(stmt.constraint, "CONSTRAINT");
        self.words_and_name("TRIGGER", &stmt.name);
        self.word(match stmt.timing {
            TriggerTiming::Before => "BEFORE",
            TriggerTiming::After => "AFTER",
            TriggerTiming::InsteadOf => "INSTEAD OF",
        });
        for (i, event) in stmt.events.iter().enumerate() {
            self.word_if(i > 0, "OR");
            match event {
                TriggerEvent::Insert => self.word("INSERT"),
                TriggerEvent::Delete => self.word("DELETE"),
                TriggerEvent::Truncate => self.word("TRUNCATE"),
                TriggerEvent::Update(columns) => {
                    self.word("UPDATE");
                    if !columns.is_empty() {
                        self.word("OF");
                        self.names(columns);
                    }
                }
            }
        }
        self.words_and_object("ON", &stmt.table);
        if let Some(table) = &stmt.from_table {
            self.words_and_object("FROM", table);
        }
        if stmt.constraint {
            self.constraint_attributes(stmt.attributes);
        }
        if !stmt.transitions.is_empty() {
            self.word("REFERENCING");
            for transition in &stmt.transitions {
                self.word(if transition.new { "NEW" } else { "OLD" });
                self.word(if transition.table { "TABLE AS" } else { "ROW AS" });
                self.name(&transition.name);
            }
        }
        self.word(if stmt.for_each_row { "FOR EACH ROW" } else { "FOR EACH STATEMENT" });
        if let Some(when) = &stmt.when {
            self.word("WHEN");
            self.parens(|p| p.expr(when));
        }
        self.words_and_object("EXECUTE FUNCTION", &stmt.function);
        self.call_parens(|p| p.strings(&stmt.args));
    }

    pub(super) fn create_event_trigger(&mut self, stmt: &CreateEventTriggerStmt) {
        self.words_and_name("CREATE EVENT TRIGGER", &stmt.name);
        self.words_and_name("ON", &stmt.event);
        for (i, (variable, values)) in stmt.filters.iter().enumerate() {
            self.words_and_name(if i == 0 { "WHEN" } else { "AND" }, variable);
            self.word("IN");
            self.parens(|p| p.strings(values));
        }
        self.words_and_object("EXECUTE FUNCTION", &stmt.function);
        self.tight("()");
    }

    pub(super) fn create_rule(&mut self, stmt: &CreateRuleStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE" } else { "CREATE" });
        self.words_and_name("RULE", &stmt.name);
        self.word(match stmt.event {
            RuleEvent::Select => "AS ON SELECT TO",
            RuleEvent::Update => "AS ON UPDATE TO",
            RuleEvent::Delete => "AS ON DELETE TO",
            RuleEvent::Insert => "AS ON INSERT TO",
        });
        self.object_name(&stmt.table);
        self.where_clause(stmt.where_clause.as_ref());
        self.word(if stmt.instead { "DO INSTEAD" } else { "DO ALSO" });
        match stmt.actions.as_slice() {
            [] => self.word("NOTHING"),
            [action] => self.statement(action),
            actions => self.parens(|p| {
                for (i, action) in actions.iter().enumerate() {
                    if i > 0 {
                        p.tight(";");
                    }
                    p.statement(action);
                }
            }),
        }
    }
}
