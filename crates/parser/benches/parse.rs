//! How long parsing takes: the median of many rounds a statement, tree dropped included.
//!
//! `cargo bench -p ochre-parser`. The targets stand beside each statement.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

const PGBENCH: [&str; 5] = [
    "UPDATE pgbench_accounts SET abalance = abalance + -4123 WHERE aid = 571243;",
    "SELECT abalance FROM pgbench_accounts WHERE aid = 571243;",
    "UPDATE pgbench_tellers SET tbalance = tbalance + -4123 WHERE tid = 17;",
    "UPDATE pgbench_branches SET bbalance = bbalance + -4123 WHERE bid = 2;",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (17, 2, 571243, -4123, CURRENT_TIMESTAMP);",
];

const TPCH_Q8: &str = "select o_year, sum(case when nation = 'BRAZIL' then volume else 0 end) / sum(volume) as mkt_share
from (select extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) as volume,
             n2.n_name as nation
      from part, supplier, lineitem, orders, customer, nation n1, nation n2, region
      where p_partkey = l_partkey and s_suppkey = l_suppkey and l_orderkey = o_orderkey and o_custkey = c_custkey
        and c_nationkey = n1.n_nationkey and n1.n_regionkey = r_regionkey and r_name = 'AMERICA'
        and s_nationkey = n2.n_nationkey and o_orderdate between date '1995-01-01' and date '1996-12-31'
        and p_type = 'ECONOMY ANODIZED STEEL') as all_nations
group by o_year order by o_year;";

fn insert_of_rows(rows: usize) -> String {
    let mut sql = String::from("INSERT INTO t (a, b, c, d) VALUES ");
    for i in 0..rows {
        let comma = if i == 0 { "" } else { ", " };
        write!(sql, "{comma}({i}, 'name of row {i}', {i}.25, true)").expect("strings are writable");
    }
    sql
}

/// The median time of one parse, over rounds of as many parses as take about a millisecond.
fn median(sql: &str) -> Duration {
    let once = Instant::now();
    black_box(ochre_parser::parse(sql).expect("the statement parses"));
    let per_round = (1_000_000 / once.elapsed().as_nanos().max(200)).clamp(1, 2000) as u32;
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..per_round {
                black_box(ochre_parser::parse(black_box(sql)).expect("the statement parses"));
            }
            start.elapsed() / per_round
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    for sql in PGBENCH {
        println!("{:>10.2?}  (target 2 µs)    {}", median(sql), &sql[..40]);
    }
    println!("{:>10.2?}  (target 15 µs)   TPC-H Q8", median(TPCH_Q8));
    println!("{:>10.2?}  (target 700 µs)  INSERT of 1,000 rows", median(&insert_of_rows(1000)));
}
