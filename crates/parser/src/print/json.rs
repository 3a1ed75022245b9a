//! SQL/JSON and SQL/XML.

use super::Printer;
use crate::ast::*;

impl Printer {
    fn json_value(&mut self, value: &JsonValue) {
        self.expr(&value.expr);
        self.json_format(value.format.as_ref());
    }

    fn json_format(&mut self, format: Option<&JsonFormat>) {
        if let Some(format) = format {
            self.word("FORMAT JSON");
            if let Some(encoding) = &format.encoding {
                self.word("ENCODING");
                self.name(encoding);
            }
        }
    }

    fn json_output(&mut self, output: Option<&JsonOutput>) {
        if let Some(output) = output {
            self.word("RETURNING");
            self.type_name(&output.type_name);
            self.json_format(output.format.as_ref());
        }
    }

    fn json_pair(&mut self, pair: &JsonKeyValue) {
        self.expr(&pair.key);
        self.word(":");
        self.json_value(&pair.value);
    }

    pub(super) fn json(&mut self, json: &JsonExpr) {
        match json {
            JsonExpr::Object { pairs, absent_on_null, unique_keys, output, .. } => {
                self.word("JSON_OBJECT");
                self.call_parens(|p| {
                    p.list(pairs, |p, pair| p.json_pair(pair));
                    p.word_if(*absent_on_null, "ABSENT ON NULL");
                    p.word_if(*unique_keys, "WITH UNIQUE KEYS");
                    p.json_output(output.as_ref());
                });
            }
            JsonExpr::Array { items, absent_on_null, output, .. } => {
                self.word("JSON_ARRAY");
                self.call_parens(|p| {
                    p.list(items, |p, item| p.json_value(item));
                    p.word_if(!*absent_on_null, "NULL ON NULL");
                    p.json_output(output.as_ref());
                });
            }
            JsonExpr::ArrayQuery { query, format, output, .. } => {
                self.word("JSON_ARRAY");
                self.call_parens(|p| {
                    p.select(query);
                    p.json_format(format.as_ref());
                    p.json_output(output.as_ref());
                });
            }
            JsonExpr::ObjectAgg { pair, absent_on_null, unique_keys, output, filter, over, .. } => {
                self.word("JSON_OBJECTAGG");
                self.call_parens(|p| {
                    p.json_pair(pair);
                    p.word_if(*absent_on_null, "ABSENT ON NULL");
                    p.word_if(*unique_keys, "WITH UNIQUE KEYS");
                    p.json_output(output.as_ref());
                });
                self.filter_and_over(filter.as_ref(), over.as_ref());
            }
            JsonExpr::ArrayAgg { value, order_by, absent_on_null, output, filter, over, .. } => {
                self.word("JSON_ARRAYAGG");
                self.call_parens(|p| {
                    p.json_value(value);
                    p.order_by(order_by);
                    p.word_if(!*absent_on_null, "NULL ON NULL");
                    p.json_output(output.as_ref());
                });
                self.filter_and_over(filter.as_ref(), over.as_ref());
            }
            JsonExpr::Parse { value, unique_keys, .. } => {
                self.word("JSON");
                self.call_parens(|p| {
                    p.json_value(value);
                    p.word_if(*unique_keys, "WITH UNIQUE KEYS");
                });
            }
            JsonExpr::Scalar { expr, .. } => {
                self.word("JSON_SCALAR");
                self.call_parens(|p| p.expr(expr));
            }
            JsonExpr::Serialize { value, output, .. } => {
                self.word("JSON_SERIALIZE");
                self.call_parens(|p| {
                    p.json_value(value);
                    p.json_output(output.as_ref());
                });
            }
            JsonExpr::Query(query) => self.json_query(query),
            JsonExpr::IsJson { value, kind, unique_keys, .. } => {
                self.is_test_operand(&value.expr);
                self.word("IS JSON");
                match kind {
                    JsonKind::Any => {}
                    JsonKind::Object => self.word("OBJECT"),
                    JsonKind::Array => self.word("ARRAY"),
                    JsonKind::Scalar => self.word("SCALAR"),
                }
                self.word_if(*unique_keys, "WITH UNIQUE KEYS");
            }
        }
    }

    fn json_query(&mut self, query: &JsonQuery) {
        self.word(match query.kind {
            JsonQueryKind::Exists => "JSON_EXISTS",
            JsonQueryKind::Value => "JSON_VALUE",
            JsonQueryKind::Query => "JSON_QUERY",
        });
        self.call_parens(|p| {
            p.json_value(&query.context);
            p.tight(",");
            p.expr(&query.path);
            p.json_passing(&query.passing);
            p.json_output(query.output.as_ref());
            p.json_wrapper(query.wrapper);
            p.json_quotes(query.quotes);
            p.json_behavior(query.on_empty.as_ref(), "ON EMPTY");
            p.json_behavior(query.on_error.as_ref(), "ON ERROR");
        });
    }

    fn json_passing(&mut self, passing: &[JsonArgument]) {
        if !passing.is_empty() {
            self.word("PASSING");
            self.list(passing, |p, arg| {
                p.json_value(&arg.value);
                p.word("AS");
                p.name(&arg.name);
            });
        }
    }

    fn json_wrapper(&mut self, wrapper: JsonWrapper) {
        match wrapper {
            JsonWrapper::Unspecified => {}
            JsonWrapper::Without => self.word("WITHOUT WRAPPER"),
            JsonWrapper::Conditional => self.word("WITH CONDITIONAL WRAPPER"),
            JsonWrapper::Unconditional => self.word("WITH UNCONDITIONAL WRAPPER"),
        }
    }

    fn json_quotes(&mut self, quotes: JsonQuotes) {
        match quotes {
            JsonQuotes::Unspecified => {}
            JsonQuotes::Keep => self.word("KEEP QUOTES"),
            JsonQuotes::Omit => self.word("OMIT QUOTES"),
        }
    }

    fn json_behavior(&mut self, behavior: Option<&JsonBehavior>, when: &str) {
        let Some(behavior) = behavior else { return };
        match &behavior.kind {
            JsonBehaviorKind::Null => self.word("NULL"),
            JsonBehaviorKind::Error => self.word("ERROR"),
            JsonBehaviorKind::Empty => self.word("EMPTY"),
            JsonBehaviorKind::EmptyArray => self.word("EMPTY ARRAY"),
            JsonBehaviorKind::EmptyObject => self.word("EMPTY OBJECT"),
            JsonBehaviorKind::True => self.word("TRUE"),
            JsonBehaviorKind::False => self.word("FALSE"),
            JsonBehaviorKind::Unknown => self.word("UNKNOWN"),
            JsonBehaviorKind::Default(value) => {
                self.word("DEFAULT");
                self.expr(value);
            }
        }
        self.word(when);
    }

    pub(super) fn json_table(&mut self, table: &JsonTable) {
        self.word_if(table.lateral, "LATERAL");
        self.word("JSON_TABLE");
        self.call_parens(|p| {
            p.json_value(&table.context);
            p.tight(",");
            p.expr(&table.path);
            if let Some(name) = &table.path_name {
                p.word("AS");
                p.name(name);
            }
            p.json_passing(&table.passing);
            p.json_columns(&table.columns);
            p.json_behavior(table.on_error.as_ref(), "ON ERROR");
        });
        self.alias(table.alias.as_ref());
    }

    fn json_columns(&mut self, columns: &[JsonTableColumn]) {
        self.word("COLUMNS");
        self.parens(|p| p.list(columns, |p, column| p.nested(|p| p.json_column(column))));
    }

    fn json_column(&mut self, column: &JsonTableColumn) {
        use JsonTableColumnKind as C;
        match &column.kind {
            C::Ordinality(name) => {
                self.name(name);
                self.word("FOR ORDINALITY");
            }
            C::Regular { name, type_name, format, path, wrapper, quotes, on_empty, on_error } => {
                self.name(name);
                self.type_name(type_name);
                self.json_format(format.as_ref());
                self.json_path(path.as_deref());
                self.json_wrapper(*wrapper);
                self.json_quotes(*quotes);
                self.json_behavior(on_empty.as_ref(), "ON EMPTY");
                self.json_behavior(on_error.as_ref(), "ON ERROR");
            }
            C::Exists { name, type_name, path, on_empty, on_error } => {
                self.name(name);
                self.type_name(type_name);
                self.word("EXISTS");
                self.json_path(path.as_deref());
                self.json_behavior(on_empty.as_ref(), "ON EMPTY");
                self.json_behavior(on_error.as_ref(), "ON ERROR");
            }
            C::Nested { path, path_name, columns } => {
                self.word("NESTED PATH");
                self.string(path);
                if let Some(name) = path_name {
                    self.word("AS");
                    self.name(name);
                }
                self.json_columns(columns);
            }
        }
    }

    fn json_path(&mut self, path: Option<&str>) {
        if let Some(path) = path {
            self.word("PATH");
            self.string(path);
        }
    }

    fn xml_named(&mut self, item: &XmlNamed) {
        self.expr(&item.expr);
        if let Some(name) = &item.name {
            self.word("AS");
            self.name(name);
        }
    }

    pub(super) fn xml(&mut self, xml: &XmlExpr) {
        let document = |document: bool| if document { "DOCUMENT" } else { "CONTENT" };
        match xml {
            XmlExpr::Concat { args, .. } => {
                self.word("XMLCONCAT");
                self.call_parens(|p| p.exprs(args));
            }
            XmlExpr::Element { name, attributes, args, .. } => {
                self.word("XMLELEMENT");
                self.call_parens(|p| {
                    p.word("NAME");
                    p.name(name);
                    if !attributes.is_empty() {
                        p.tight(",");
                        p.word("XMLATTRIBUTES");
                        p.call_parens(|p| p.list(attributes, |p, item| p.xml_named(item)));
                    }
                    if !args.is_empty() {
                        p.tight(",");
                        p.exprs(args);
                    }
                });
            }
            XmlExpr::Forest { items, .. } => {
                self.word("XMLFOREST");
                self.call_parens(|p| p.list(items, |p, item| p.xml_named(item)));
            }
            XmlExpr::Parse { document: whole, expr, preserve_whitespace, .. } => {
                self.word("XMLPARSE");
                self.call_parens(|p| {
                    p.word(document(*whole));
                    p.expr(expr);
                    p.word_if(*preserve_whitespace, "PRESERVE WHITESPACE");
                });
            }
            XmlExpr::Pi { name, expr, .. } => {
                self.word("XMLPI");
                self.call_parens(|p| {
                    p.word("NAME");
                    p.name(name);
                    if let Some(expr) = expr {
                        p.tight(",");
                        p.expr(expr);
                    }
                });
            }
            XmlExpr::Root { expr, version, standalone, .. } => {
                self.word("XMLROOT");
                self.call_parens(|p| {
                    p.expr(expr);
                    p.tight(",");
                    p.word("VERSION");
                    match version {
                        Some(version) => p.expr(version),
                        None => p.word("NO VALUE"),
                    }
                    match standalone {
                        XmlStandalone::Omitted => {}
                        XmlStandalone::Yes => p.tight(", STANDALONE YES"),
                        XmlStandalone::No => p.tight(", STANDALONE NO"),
                        XmlStandalone::NoValue => p.tight(", STANDALONE NO VALUE"),
                    }
                });
            }
            XmlExpr::Serialize { document: whole, expr, type_name, indent, .. } => {
                self.word("XMLSERIALIZE");
                self.call_parens(|p| {
                    p.word(document(*whole));
                    p.expr(expr);
                    p.word("AS");
                    p.type_name(type_name);
                    p.word_if(*indent, "INDENT");
                });
            }
            XmlExpr::IsDocument { expr, .. } => {
                self.is_test_operand(expr);
                self.word("IS DOCUMENT");
            }
        }
    }

    pub(super) fn xml_table(&mut self, table: &XmlTable) {
        self.word_if(table.lateral, "LATERAL");
        self.word("XMLTABLE");
        self.call_parens(|p| {
            if !table.namespaces.is_empty() {
                p.word("XMLNAMESPACES");
                p.call_parens(|p| {
                    p.list(&table.namespaces, |p, item| {
                        p.word_if(item.name.is_none(), "DEFAULT");
                        p.restricted(&item.expr);
                        if let Some(name) = &item.name {
                            p.word("AS");
                            p.name(name);
                        }
                    });
                });
                p.tight(",");
            }
            p.atom(&table.row);
            p.word("PASSING");
            p.atom(&table.document);
            p.word("COLUMNS");
            p.list(&table.columns, |p, column| p.xml_column(column));
        });
        self.alias(table.alias.as_ref());
    }

    fn xml_column(&mut self, column: &XmlTableColumn) {
        self.name(&column.name);
        let Some(type_name) = &column.type_name else {
            self.word("FOR ORDINALITY");
            return;
        };
        self.type_name(type_name);
        if let Some(path) = &column.path {
            self.word("PATH");
            self.restricted(path);
        }
        if let Some(default) = &column.default {
            self.word("DEFAULT");
            self.restricted(default);
        }
        self.word_if(column.not_null, "NOT NULL");
    }
}
