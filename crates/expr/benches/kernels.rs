//! Nanoseconds a row of the kernels that queries spend their time in. Run with `cargo bench -p ochre-expr`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ochre_expr::{
    EvalContext, Expr, Groups, NoSession, aggregate, eval, eval_predicate, eval_row, functions_named,
    operators_named,
};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, PhysicalType, SqlType};

const ROWS: usize = 2048;
const ROUNDS: u32 = 5000;

fn operator(name: &str, ty: SqlType) -> &'static ochre_expr::Function {
    let found = operators_named(name).iter().find(|op| op.left == ty.oid && op.right == ty.oid);
    found.expect("the operator exists").function
}

/// The best of five runs, so that a busy machine disturbs little.
fn measure(name: &str, rows: usize, mut run: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        (0..ROUNDS / 5).for_each(|_| run());
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS / 5) / rows as f64);
    }
    println!("{name:<40} {best:8.3} ns/row");
}

fn main() {
    let session = NoSession::default();
    let ctx = EvalContext::new(&session);
    let ints: Vec<i32> = (0..ROWS as i32).map(|i| i.wrapping_mul(7919) % 1000).collect();
    let longs: Vec<i64> = ints.iter().map(|i| i64::from(*i)).collect();
    let floats: Vec<f64> = ints.iter().map(|i| f64::from(*i)).collect();
    let mut texts = ColumnBuilder::new(PhysicalType::Bytes, ROWS);
    ints.iter().for_each(|i| texts.push_str(&format!("customer number {i}")));
    let groups: Vec<u32> = ints.iter().map(|i| (*i).unsigned_abs() % 16).collect();
    let columns: Vec<Arc<Column>> = vec![
        Arc::new(Column::from(ints)),
        Arc::new(Column::from(longs)),
        Arc::new(Column::from(floats)),
        Arc::new(texts.finish()),
    ];
    let batch = Batch::new(columns.clone(), ROWS);
    let int = |i| Expr::column(i, SqlType::INT4);
    let five = Expr::constant(Datum::Int32(5), SqlType::INT4);
    let half = Expr::constant(Datum::Int32(500), SqlType::INT4);

    let add = Expr::call(operator("+", SqlType::INT4), vec![int(0), five.clone()], SqlType::INT4);
    measure("int4 + constant", ROWS, || drop(black_box(eval(&add, &batch, None, &ctx))));
    let add2 = Expr::call(operator("+", SqlType::INT4), vec![int(0), int(0)], SqlType::INT4);
    measure("int4 + int4", ROWS, || drop(black_box(eval(&add2, &batch, None, &ctx))));
    let long = Expr::column(1, SqlType::INT8);
    let mul8 = Expr::call(operator("*", SqlType::INT8), vec![long.clone(), long.clone()], SqlType::INT8);
    measure("int8 * int8", ROWS, || drop(black_box(eval(&mul8, &batch, None, &ctx))));
    let less = Expr::call(operator("<", SqlType::INT4), vec![int(0), half.clone()], SqlType::BOOL);
    measure("int4 < constant", ROWS, || drop(black_box(eval(&less, &batch, None, &ctx))));
    measure("int4 < constant, as selection", ROWS, || {
        drop(black_box(eval_predicate(&less, &batch, None, &ctx)))
    });
    let more = Expr::call(operator(">", SqlType::INT4), vec![int(0), five.clone()], SqlType::BOOL);
    let both = Expr::And(vec![less.clone(), more]);
    measure("two comparisons, as selection", ROWS, || {
        drop(black_box(eval_predicate(&both, &batch, None, &ctx)))
    });
    let float = Expr::column(2, SqlType::FLOAT8);
    let product = Expr::call(operator("*", SqlType::FLOAT8), vec![float.clone(), float], SqlType::FLOAT8);
    measure("float8 * float8", ROWS, || drop(black_box(eval(&product, &batch, None, &ctx))));
    let text = Expr::column(3, SqlType::TEXT);
    let wanted = Expr::constant(Datum::text("customer number 77"), SqlType::TEXT);
    let equal = Expr::call(operator("=", SqlType::TEXT), vec![text.clone(), wanted], SqlType::BOOL);
    measure("text = constant", ROWS, || drop(black_box(eval(&equal, &batch, None, &ctx))));
    let pattern = Expr::constant(Datum::text("%ber 7%"), SqlType::TEXT);
    let like = Expr::call(operator("~~", SqlType::TEXT), vec![text, pattern], SqlType::BOOL);
    measure("text LIKE '%ber 7%'", ROWS, || drop(black_box(eval(&like, &batch, None, &ctx))));
    let regex = Expr::constant(Datum::text("number 7[0-9]$"), SqlType::TEXT);
    let matches =
        Expr::call(operator("~", SqlType::TEXT), vec![Expr::column(3, SqlType::TEXT), regex], SqlType::BOOL);
    measure("text ~ pattern", ROWS, || drop(black_box(eval(&matches, &batch, None, &ctx))));

    for (name, ty, column, result) in [
        ("sum", SqlType::INT4, 0, SqlType::INT8),
        ("sum", SqlType::INT8, 1, SqlType::NUMERIC),
        ("sum", SqlType::FLOAT8, 2, SqlType::FLOAT8),
        ("avg", SqlType::INT4, 0, SqlType::NUMERIC),
        ("min", SqlType::INT4, 0, SqlType::INT4),
        ("max", SqlType::TEXT, 3, SqlType::TEXT),
    ] {
        let function = functions_named(name).iter().find(|f| *f.arg_types == [ty.oid]).expect("it exists");
        let mut state =
            aggregate(function.oid).expect("an aggregate").create(&[ty], result).expect("implemented");
        state.grow(16);
        let args = [columns[column].clone()];
        measure(&format!("{name}({})", ty.name()), ROWS, || {
            state.update(Groups::One(0), &args, ROWS, None, &ctx).expect("no overflow");
        });
        measure(&format!("{name}({}) in 16 groups", ty.name()), ROWS, || {
            state.update(Groups::Each(&groups), &args, ROWS, None, &ctx).expect("no overflow");
        });
    }

    let row: Vec<Datum> = vec![Datum::Int32(41)];
    measure("a + 5 on a single row", 1, || drop(black_box(eval_row(&add, &row, &ctx))));
}
