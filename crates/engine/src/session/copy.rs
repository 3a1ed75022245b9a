//! COPY.

use std::sync::Arc;

use ochre_base::limits::BATCH_ROWS;
use ochre_base::{Error, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_exec::Execution;
use ochre_parser::ast::{self, CopySource, CopyStmt, CopyTarget, DefElem, DefValue};
use ochre_sql::physical::OutputColumn;
use ochre_txn::Snapshot;
use ochre_txn::locks::RelationLockMode;
use ochre_types::{Batch, ColumnBuilder, ColumnValues, SqlType, oids, parse_text_into, print_text_at};

use super::Session;
use super::plan::own_statement;
use crate::authority::{Need, forbidden};
use crate::bulk::TableLoader;
use crate::copy::format::{
    CopyFormat, Fields, Header, LineReader, Next, Style, write_field, write_line_end, write_printed,
};
use crate::ddl::quote_identifier;
use crate::sink::Sink;
use crate::tag::CommandTag;

/// A COPY … FROM STDIN in progress.
pub(crate) struct CopyIn {
    table: Arc<RelationDescriptor>,
    columns: Vec<CopyColumn>,
    reader: LineReader,
    format: CopyFormat,
    header_pending: bool,
    fields: Fields,
    builders: Vec<ColumnBuilder>,
    buffered: usize,
    first_line: u64,
    loader: TableLoader,
    snapshot: Snapshot,
    rows: u64,
    ended: bool,
}

struct CopyColumn {
    name: Arc<str>,
    ty: SqlType,
}

/// How much of a file is read at a time.
const FILE_BYTES: usize = 64 * 1024;

impl Session {
    /// Runs a COPY; `None` when it waits for data.
    pub(crate) fn copy_statement(
        &mut self,
        copy: &CopyStmt,
        sink: &mut dyn Sink,
    ) -> Result<Option<CommandTag>> {
        let file = match &copy.target {
            CopyTarget::Std => None,
            CopyTarget::File(path) => {
                self.require_server_files(copy.from)?;
                Some(&**path)
            }
            CopyTarget::Program(_) => return Err(Error::unsupported("COPY with a program")),
        };
        if copy.where_clause.is_some() {
            return Err(Error::unsupported("WHERE in COPY FROM"));
        }
        match (&copy.source, copy.from) {
            (CopySource::Table { name, columns }, true) => {
                let Some(path) = file else {
                    self.begin_copy_in(name, columns, &copy.options, sink)?;
                    return Ok(None);
                };
                self.copy_from_file(path, name, columns, &copy.options).map(Some)
            }
            (_, false) if file.is_some() => {
                let mut sink = FileSink::create(self, file.unwrap_or_default())?;
                let tag = match &copy.source {
                    CopySource::Table { name, columns } => {
                        self.copy_table_out(name, columns, &copy.options, &mut sink)?
                    }
                    CopySource::Query(query) => self.copy_query_out(query, &copy.options, &mut sink)?,
                };
                Ok(Some(tag))
            }
            (CopySource::Table { name, columns }, false) => {
                let tag = self.copy_table_out(name, columns, &copy.options, sink)?;
                Ok(Some(tag))
            }
            (CopySource::Query(query), false) => {
                let tag = self.copy_query_out(query, &copy.options, sink)?;
                Ok(Some(tag))
            }
            (CopySource::Query(_), true) => Err(Error::internal("COPY (query) FROM was parsed")),
        }
    }

    /// Fails unless the acting role may read or write the server's files.
    fn require_server_files(&self, from: bool) -> Result<()> {
        let (role, name, what) = match from {
            true => (ochre_catalog::oids::PG_READ_SERVER_FILES, "pg_read_server_files", "COPY from a file"),
            false => (ochre_catalog::oids::PG_WRITE_SERVER_FILES, "pg_write_server_files", "COPY to a file"),
        };
        if self.state.roles().has_role(role) {
            return Ok(());
        }
        let detail = format!("Only roles with privileges of the \"{name}\" role may {what}.");
        Err(forbidden(format!("permission denied to {what}"))
            .detail(detail)
            .hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone."))
    }

    /// COPY FROM a file of the server.
    fn copy_from_file(
        &mut self,
        path: &str,
        name: &ast::ObjectName,
        columns: &[ast::Name],
        options: &[DefElem],
    ) -> Result<CommandTag> {
        let env = self.state.instance.storage().env().clone();
        let file = env
            .fs
            .open(std::path::Path::new(path), ochre_env::OpenMode::Existing)
            .map_err(|error| file_error(path, "reading", &error.into()))?;
        let outer = self.pending.take();
        let copied = self.copy_file_rows(&*file, name, columns, options);
        self.pending = outer;
        copied
    }

    fn copy_file_rows(
        &mut self,
        file: &dyn ochre_env::File,
        name: &ast::ObjectName,
        columns: &[ast::Name],
        options: &[DefElem],
    ) -> Result<CommandTag> {
        self.begin_copy_in(name, columns, options, &mut crate::sink::NullSink)?;
        let mut buffer = vec![0; FILE_BYTES];
        let mut offset = 0;
        loop {
            let read = file.read_at(&mut buffer, offset)?;
            if read == 0 {
                break;
            }
            offset += read as u64;
            self.add_copy_data(&buffer[..read])?;
            self.state.interrupt.check()?;
        }
        let copy = self.pending.as_mut().and_then(|pending| pending.copy.take());
        let copy = copy.ok_or_else(|| Error::internal("a COPY from a file is over before its end"))?;
        self.finish_copy(copy)
    }

    /// The columns that a COPY is about: those named, or all that can be written.
    fn copy_columns(&self, table: &RelationDescriptor, names: &[ast::Name]) -> Result<Vec<i16>> {
        if names.is_empty() {
            let live = table.live_columns().filter(|column| column.generated.is_none());
            return Ok(live.map(|column| column.number).collect());
        }
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            let column =
                table.column_named(name).ok_or_else(|| crate::errors::undefined_column(name, &table.name))?;
            if numbers.contains(&column.number) {
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{name}\" specified more than once"),
                ));
            }
            if column.generated.is_some() {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("column \"{name}\" is a generated column"),
                )
                .detail("Generated columns cannot be used in COPY."));
            }
            numbers.push(column.number);
        }
        Ok(numbers)
    }

    fn begin_copy_in(
        &mut self,
        name: &ast::ObjectName,
        names: &[ast::Name],
        options: &[DefElem],
        sink: &mut dyn Sink,
    ) -> Result<()> {
        self.require_writable("COPY FROM")?;
        let table = self.require_and_lock(name, RelationLockMode::RowExclusive, Need::CheckedByCaller)?;
        self.require_user_relation(&table)?;
        if !table.kind.is_table() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot copy to {} \"{}\"", table.kind.word(), table.name),
            ));
        }
        let numbers = self.copy_columns(&table, names)?;
        self.state.require_on_columns(&table, Privileges::INSERT, &numbers)?;
        let columns: Vec<CopyColumn> = numbers
            .iter()
            .filter_map(|number| table.column(*number))
            .map(|column| CopyColumn { name: Arc::clone(&column.name), ty: column.ty })
            .collect();
        let format = copy_format(options, &columns, true)?;
        let loader = self.table_loader(&table, &numbers)?;
        let builders =
            columns.iter().map(|column| ColumnBuilder::new(column.ty.physical, BATCH_ROWS)).collect();
        let snapshot = self.statement_snapshot()?;
        sink.copy_in(columns.len());
        let copy = CopyIn {
            table,
            columns,
            reader: LineReader::new(format.clone()),
            header_pending: format.header != Header::None,
            format,
            fields: Fields::default(),
            builders,
            buffered: 0,
            first_line: 0,
            loader,
            snapshot,
            rows: 0,
            ended: false,
        };
        match &mut self.pending {
            Some(pending) => pending.copy = Some(copy),
            None => self.pending = Some(super::simple::Pending::extended_copy(copy)),
        }
        Ok(())
    }

    /// Takes a chunk of data.
    pub(crate) fn add_copy_data(&mut self, data: &[u8]) -> Result<()> {
        let Some(mut copy) = self.pending.as_mut().and_then(|pending| pending.copy.take()) else {
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, "no COPY is in progress"));
        };
        copy.reader.push(data);
        self.read_rows(&mut copy)?;
        if let Some(pending) = &mut self.pending {
            pending.copy = Some(copy);
        }
        Ok(())
    }

    fn read_rows(&mut self, copy: &mut CopyIn) -> Result<()> {
        let format = self.state.format_context();
        while !copy.ended {
            let next = copy.reader.next(&mut copy.fields);
            let line = copy.reader.line;
            match next.map_err(|error| at_line(error, copy, line, None))? {
                Next::More => break,
                Next::End => copy.ended = true,
                Next::Row if std::mem::take(&mut copy.header_pending) => check_header(copy, line)?,
                Next::Row => {
                    read_row(copy, line, &format)?;
                    if copy.buffered == 1 {
                        copy.first_line = line;
                    }
                    if copy.buffered == BATCH_ROWS {
                        self.store_buffered(copy)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn store_buffered(&mut self, copy: &mut CopyIn) -> Result<()> {
        let rows = std::mem::take(&mut copy.buffered);
        if rows == 0 {
            return Ok(());
        }
        let columns = copy.builders.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        let batch = Batch::new(columns, rows);
        let loader = &mut copy.loader;
        let stored = self.with_context(&copy.snapshot, &[], |_, context| loader.store(context, &batch));
        let first = copy.first_line;
        copy.rows += stored.map_err(|error| at_line(error, copy, first, None))?;
        Ok(())
    }

    /// The end of the data.
    pub(crate) fn finish_copy(&mut self, mut copy: CopyIn) -> Result<CommandTag> {
        copy.reader.finish();
        self.read_rows(&mut copy)?;
        self.store_buffered(&mut copy)?;
        let loader = &mut copy.loader;
        self.with_context(&copy.snapshot, &[], |_, context| loader.finish(context))?;
        let rows = copy.rows;
        drop(copy);
        self.txn().advance_command()?;
        self.state.note_met(self.txn().gate_lsn());
        Ok(CommandTag::Rows("COPY", rows))
    }

    fn copy_table_out(
        &mut self,
        name: &ast::ObjectName,
        names: &[ast::Name],
        options: &[DefElem],
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        let table = self.require_and_lock(name, RelationLockMode::AccessShare, Need::CheckedByCaller)?;
        if !table.populated {
            let message = format!("cannot copy from unpopulated materialized view \"{}\"", table.name);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .hint("Use the REFRESH MATERIALIZED VIEW command."));
        }
        if !matches!(table.kind, RelationKind::Table | RelationKind::MaterializedView) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot copy from {} \"{}\"", copied_word(table.kind), table.name),
            )
            .hint("Try the COPY (SELECT ...) TO variant."));
        }
        let numbers = self.copy_columns(&table, names)?;
        let list: Vec<String> = numbers
            .iter()
            .filter_map(|number| table.column(*number))
            .map(|column| quote_identifier(&column.name))
            .collect();
        let text = format!(
            "SELECT {} FROM ONLY {}.{}",
            list.join(", "),
            quote_identifier(&self.namespace_name(table.namespace)),
            quote_identifier(&table.name)
        );
        let query = own_statement(&text)?;
        self.copy_query_out(&query, options, sink)
    }

    fn copy_query_out(
        &mut self,
        query: &ast::Statement,
        options: &[DefElem],
        sink: &mut dyn Sink,
    ) -> Result<CommandTag> {
        let (_, plan) = self.plan_parameterised(query, &[])?;
        if !plan.returns_rows {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "COPY query must have a RETURNING clause",
            ));
        }
        self.state.check_plan(&plan)?;
        if !plan.read_only {
            self.require_writable("COPY")?;
        }
        let columns: Vec<CopyColumn> = plan
            .row_shape
            .iter()
            .map(|column| CopyColumn { name: Arc::clone(&column.name), ty: column.ty })
            .collect();
        let format = copy_format(options, &columns, false)?;
        sink.copy_out(columns.len());
        let snapshot = self.statement_snapshot()?;
        let mut rows = 0;
        let mut out = Vec::with_capacity(1024);
        if format.header != Header::None {
            for (i, column) in columns.iter().enumerate() {
                write_field(&format, i, Some(column.name.as_bytes()), columns.len(), &mut out);
            }
            write_line_end(&mut out);
            sink.copy_data(&out)?;
        }
        self.with_context(&snapshot, &[], |session, context| {
            use ochre_expr::SessionContext;
            let mut execution = Execution::new(&plan, context.relations)?;
            let text_format = session.format();
            while let Some(batch) = execution.next(context)? {
                for row in batch.active() {
                    out.clear();
                    write_row(&format, &plan.row_shape, &batch, row, text_format, &mut out)?;
                    sink.copy_data(&out)?;
                    rows += 1;
                }
            }
            Ok(())
        })?;
        drop(snapshot);
        sink.copy_out_done();
        self.end_plan(&plan)?;
        Ok(CommandTag::Rows("COPY", rows))
    }
}

/// What a relation that cannot be copied is called.
fn copied_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::PartitionedTable => "partitioned table",
        other => other.word(),
    }
}

/// Writes what a COPY … TO sends into a file of the server.
struct FileSink {
    file: Arc<dyn ochre_env::File>,
    written: u64,
}

impl FileSink {
    fn create(session: &Session, path: &str) -> Result<FileSink> {
        if !std::path::Path::new(path).is_absolute() {
            return Err(Error::new(SqlState::INVALID_NAME, "relative path not allowed for COPY to file"));
        }
        let env = session.state.instance.storage().env();
        let file = env
            .fs
            .open(std::path::Path::new(path), ochre_env::OpenMode::OrCreate)
            .and_then(|file| file.set_len(0).map(|()| file))
            .map_err(|error| file_error(path, "writing", &error.into()))?;
        Ok(FileSink { file, written: 0 })
    }
}

impl Sink for FileSink {
    fn row_shape(&mut self, _columns: &Arc<[OutputColumn]>) -> Result<()> {
        Ok(())
    }
    fn rows(
        &mut self,
        _batch: &Batch,
        _columns: &[OutputColumn],
        _format: &ochre_types::FormatContext,
    ) -> Result<()> {
        Ok(())
    }
    fn complete(&mut self, _tag: CommandTag) {}
    fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        self.file.write_at(data, self.written)?;
        self.written += data.len() as u64;
        Ok(())
    }
}

#[cold]
fn file_error(path: &str, purpose: &str, error: &Error) -> Error {
    let missing = error.message().contains("No such file") || error.message().contains("not found");
    let code = if missing { SqlState::UNDEFINED_FILE } else { error.sqlstate() };
    Error::new(code, format!("could not open file \"{path}\" for {purpose}: {}", error.message()))
}

fn write_row(
    format: &CopyFormat,
    shape: &[OutputColumn],
    batch: &Batch,
    row: usize,
    text_format: &ochre_types::FormatContext,
    out: &mut Vec<u8>,
) -> Result<()> {
    for (i, (column, values)) in shape.iter().zip(&batch.columns).enumerate() {
        if values.is_null(row) {
            write_field(format, i, None, shape.len(), out);
        } else if let (ColumnValues::Bytes(_), oids::TEXT | oids::VARCHAR) = (values.values(), column.ty.oid)
        {
            write_field(format, i, Some(values.bytes(row)), shape.len(), out);
        } else {
            write_printed(format, i, shape.len(), out, |out| {
                print_text_at(column.ty, values, row, text_format, out)
            })?;
        }
    }
    write_line_end(out);
    Ok(())
}

/// Adds where in the data an error is.
fn at_line(error: Error, copy: &CopyIn, line: u64, column: Option<(&str, &[u8])>) -> Error {
    let place = match column {
        Some((name, value)) => {
            format!(
                "COPY {}, line {line}, column {name}: \"{}\"",
                copy.table.name,
                String::from_utf8_lossy(&value[..value.len().min(100)])
            )
        }
        None => format!("COPY {}, line {line}", copy.table.name),
    };
    error.context(place)
}

fn read_row(copy: &mut CopyIn, line: u64, format: &ochre_types::FormatContext) -> Result<()> {
    let count = copy.fields.len();
    // An empty line is a row of no fields for a table without columns.
    if count > copy.columns.len()
        && !(copy.columns.is_empty() && count == 1 && copy.fields.field(0) == Some(b""))
    {
        let error = Error::new(SqlState::BAD_COPY_FILE_FORMAT, "extra data after last expected column");
        return Err(at_line(error, copy, line, None));
    }
    if count < copy.columns.len() {
        let error = Error::new(
            SqlState::BAD_COPY_FILE_FORMAT,
            format!("missing data for column \"{}\"", copy.columns[count].name),
        );
        return Err(at_line(error, copy, line, None));
    }
    for (i, column) in copy.columns.iter().enumerate() {
        let text = match copy.fields.text(i) {
            Ok(Some(text)) => text,
            Ok(None) => {
                copy.builders[i].push_null();
                continue;
            }
            Err(error) => {
                let bytes = copy.fields.field(i).unwrap_or_default();
                let error = crate::errors::bad_utf8(bytes, error.valid_up_to());
                return Err(at_line(error, copy, line, None));
            }
        };
        if let Err(error) = parse_text_into(column.ty, text, format, &mut copy.builders[i]) {
            return Err(at_line(error, copy, line, Some((&column.name, text.as_bytes()))));
        }
    }
    copy.buffered += 1;
    Ok(())
}

fn check_header(copy: &CopyIn, line: u64) -> Result<()> {
    if copy.format.header != Header::Match {
        return Ok(());
    }
    let error =
        |message: String| Err(at_line(Error::new(SqlState::BAD_COPY_FILE_FORMAT, message), copy, line, None));
    if copy.fields.len() != copy.columns.len() {
        return error(format!(
            "wrong number of fields in header line: got {}, expected {}",
            copy.fields.len(),
            copy.columns.len()
        ));
    }
    for (i, column) in copy.columns.iter().enumerate() {
        let name = copy.fields.field(i);
        if name != Some(column.name.as_bytes()) {
            let got =
                name.map_or("<NULL>".to_string(), |name| format!("\"{}\"", String::from_utf8_lossy(name)));
            return error(format!(
                "column name mismatch in header line field {}: got {got}, expected \"{}\"",
                i + 1,
                column.name
            ));
        }
    }
    Ok(())
}

fn option_text(option: &DefElem) -> String {
    option.value.as_ref().map(DefValue::as_text).unwrap_or_default()
}

fn single_byte(option: &DefElem, what: &str) -> Result<u8> {
    match option_text(option).as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("COPY {what} must be a single one-byte character"),
        )),
    }
}

/// Which columns an option names.
fn option_columns(option: &DefElem, columns: &[CopyColumn]) -> Result<Vec<bool>> {
    match &option.value {
        Some(DefValue::Star) => Ok(vec![true; columns.len()]),
        Some(DefValue::Columns(names)) => {
            let mut flags = vec![false; columns.len()];
            for name in names {
                let position = columns.iter().position(|column| *column.name == **name).ok_or_else(|| {
                    Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        format!("{} column \"{name}\" not referenced by COPY", option.name.to_uppercase()),
                    )
                })?;
                flags[position] = true;
            }
            Ok(flags)
        }
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("argument to option \"{}\" must be a list of column names", option.name),
        )),
    }
}

fn copy_format(options: &[DefElem], columns: &[CopyColumn], from: bool) -> Result<CopyFormat> {
    let style = match options.iter().find(|option| option.name == *"format") {
        None => Style::Text,
        Some(option) => match option_text(option).as_str() {
            "text" => Style::Text,
            "csv" => Style::Csv,
            "binary" => return Err(Error::unsupported("COPY FORMAT binary")),
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("COPY format \"{other}\" not recognized"),
                ));
            }
        },
    };
    let mut format = CopyFormat::new(style);
    let csv_only = |name: &str| {
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("COPY {name} requires CSV mode")))
    };
    let mut quote_given = false;
    let mut escape_given = false;
    for (i, option) in options.iter().enumerate() {
        let name = option.name.as_str();
        if options[..i].iter().any(|other| other.name == option.name) {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options"));
        }
        match name {
            "format" => {}
            "delimiter" => format.delimiter = single_byte(option, "delimiter")?,
            "null" => format.null = option_text(option).into_bytes(),
            "header" => {
                format.header = if from && option_text(option).eq_ignore_ascii_case("match") {
                    Header::Match
                } else if super::utility::option_flag(option)? {
                    Header::Present
                } else {
                    Header::None
                };
            }
            "quote" | "escape" | "force_quote" | "force_not_null" | "force_null" if style != Style::Csv => {
                return csv_only(&name.to_uppercase());
            }
            "quote" => {
                format.quote = single_byte(option, "quote")?;
                quote_given = true;
            }
            "escape" => {
                format.escape = single_byte(option, "escape")?;
                escape_given = true;
            }
            "force_quote" => format.force_quote = option_columns(option, columns)?,
            "force_not_null" => format.force_not_null = option_columns(option, columns)?,
            "force_null" => format.force_null = option_columns(option, columns)?,
            "encoding" => {
                let encoding = option_text(option).to_ascii_lowercase().replace('-', "");
                if encoding != "utf8" {
                    return Err(Error::unsupported("COPY ENCODING other than UTF8"));
                }
            }
            // A row is visible by its transaction's outcome and never needs freezing, so asking for it changes nothing.
            "freeze" => {
                super::utility::option_flag(option)?;
            }
            "on_error" if option_text(option) == "stop" => {}
            "on_error" | "default" | "log_verbosity" | "reject_limit" => {
                return Err(Error::unsupported(format!("COPY option {}", name.to_uppercase())));
            }
            other => {
                let error = Error::new(SqlState::SYNTAX_ERROR, format!("option \"{other}\" not recognized"));
                return Err(option.pos.get().map_or(error.clone(), |position| error.at(position)));
            }
        }
    }
    if quote_given && !escape_given {
        format.escape = format.quote;
    }
    check_format(&format)?;
    Ok(format)
}

fn check_format(format: &CopyFormat) -> Result<()> {
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if matches!(format.delimiter, b'\n' | b'\r') {
        return invalid("COPY delimiter cannot be newline or carriage return");
    }
    if format.null.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return invalid("COPY null representation cannot use newline or carriage return");
    }
    if format.style == Style::Text
        && (format.delimiter.is_ascii_lowercase()
            || format.delimiter.is_ascii_digit()
            || matches!(format.delimiter, b'\\' | b'.'))
    {
        return invalid(&format!("COPY delimiter cannot be \"{}\"", format.delimiter as char));
    }
    if format.style == Style::Csv && format.delimiter == format.quote {
        return invalid("COPY delimiter and quote must be different");
    }
    if format.null.contains(&format.delimiter) {
        return invalid("COPY delimiter character must not appear in the NULL specification");
    }
    if format.style == Style::Csv && format.null.contains(&format.quote) {
        return invalid("CSV quote character must not appear in the NULL specification");
    }
    Ok(())
}
