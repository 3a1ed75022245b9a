//! How rows of a partitioned table find the partition that takes them.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_catalog::{PartitionStrategy, RelationDescriptor};
use ochre_expr::Expr;
use ochre_types::compare::compare_datums;
use ochre_types::{Datum, SqlType, partition_hash};

use crate::partition::{Bound, Edge, compare_edges};

/// The ways from a partitioned table to the partitions with rows.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The table.
    pub root: RouteNode,
    /// The partitions with rows, in the order of their bounds.
    pub leaves: Vec<Arc<RelationDescriptor>>,
}

/// A partitioned table.
#[derive(Debug, Clone)]
pub struct RouteNode {
    pub table: Arc<RelationDescriptor>,
    /// The key, over the table's columns by position.
    pub keys: Vec<Expr>,
    /// The key's columns as messages show them.
    pub key_text: String,
    types: Vec<SqlType>,
    places: Vec<RoutePlace>,
    search: Search,
}

/// Where a row of a partitioned table goes.
#[derive(Debug, Clone)]
pub enum RoutePlace {
    /// To a partition that is partitioned itself: for each column its position there.
    Node { map: Vec<Option<usize>>, node: Box<RouteNode> },
    /// To this one of [`Routes::leaves`].
    Leaf(usize),
}

/// What the search for a place goes by.
#[derive(Debug, Clone)]
enum Search {
    /// Values in their order with their places.
    List { values: Vec<(Datum, usize)>, null: Option<usize>, default: Option<usize> },
    /// Ranges in their order with their places.
    Range { ranges: Vec<(Vec<Edge>, Vec<Edge>, usize)>, default: Option<usize> },
    /// Places by the remainder of the greatest modulus.
    Hash(Vec<Option<usize>>),
}

impl RouteNode {
    /// A table whose rows go to these places.
    pub(crate) fn new(
        table: Arc<RelationDescriptor>,
        strategy: PartitionStrategy,
        keys: Vec<Expr>,
        key_text: String,
        places: Vec<(Bound, RoutePlace)>,
    ) -> RouteNode {
        let types: Vec<SqlType> = keys.iter().map(Expr::ty).collect();
        let bounds: Vec<&Bound> = places.iter().map(|(bound, _)| bound).collect();
        let default = bounds.iter().position(|bound| matches!(bound, Bound::Default));
        let search = match strategy {
            PartitionStrategy::List => {
                let (mut values, mut null) = (Vec::new(), None);
                for (place, bound) in bounds.iter().enumerate() {
                    let Bound::List(list) = bound else { continue };
                    for value in list {
                        match value {
                            Datum::Null => null = Some(place),
                            value => values.push((value.clone(), place)),
                        }
                    }
                }
                values.sort_by(|(a, _), (b, _)| compare_datums(a, b, types[0].order()));
                Search::List { values, null, default }
            }
            PartitionStrategy::Range => {
                let range = |(place, bound): (usize, &&Bound)| match bound {
                    Bound::Range { lower, upper } => Some((lower.clone(), upper.clone(), place)),
                    _ => None,
                };
                Search::Range { ranges: bounds.iter().enumerate().filter_map(range).collect(), default }
            }
            PartitionStrategy::Hash => {
                let greatest = bounds.iter().filter_map(|bound| match bound {
                    Bound::Hash { modulus, .. } => Some(*modulus),
                    _ => None,
                });
                let mut by_remainder = vec![None; greatest.max().unwrap_or(1) as usize];
                for (place, bound) in bounds.iter().enumerate() {
                    let Bound::Hash { modulus, remainder } = bound else { continue };
                    let taken = by_remainder.iter_mut().skip(*remainder as usize).step_by(*modulus as usize);
                    taken.for_each(|slot| *slot = Some(place));
                }
                Search::Hash(by_remainder)
            }
        };
        RouteNode {
            table,
            keys,
            key_text,
            types,
            places: places.into_iter().map(|(_, p)| p).collect(),
            search,
        }
    }

    /// The place of a row with this key; `None` when no partition takes it.
    ///
    /// # Errors
    /// 0A000 for a hash of a type that has none.
    pub fn find(&self, key: &[Datum]) -> Result<Option<&RoutePlace>> {
        let place = match &self.search {
            Search::List { null, default, .. } if key[0].is_null() => null.or(*default),
            Search::List { values, default, .. } => {
                let order = self.types[0].order();
                let found = values.binary_search_by(|(value, _)| compare_datums(value, &key[0], order));
                found.ok().map(|at| values[at].1).or(*default)
            }
            Search::Range { default, .. } if key.iter().any(Datum::is_null) => *default,
            Search::Range { ranges, default } => {
                let row: Vec<Edge> = key.iter().cloned().map(Edge::Value).collect();
                let above =
                    ranges.partition_point(|(lower, ..)| compare_edges(lower, &row, &self.types).is_le());
                let last = above.checked_sub(1).map(|at| &ranges[at]);
                let within = last.filter(|(_, upper, _)| compare_edges(&row, upper, &self.types).is_lt());
                within.map(|(_, _, place)| *place).or(*default)
            }
            Search::Hash(by_remainder) => {
                let hash = partition_hash(&self.types, key)
                    .ok_or_else(|| Error::unsupported("hash partitioning by this type"))?;
                by_remainder[(hash % by_remainder.len() as u64) as usize]
            }
        };
        Ok(place.map(|place| &self.places[place]))
    }

    /// The partition with rows, by its number, that takes a row whose key columns have these values, by position; the keys here
    /// and below are columns.
    ///
    /// # Errors
    /// XX000 for a key that is none.
    pub fn find_leaf(&self, value: &dyn Fn(usize) -> Option<Datum>) -> Result<Option<usize>> {
        let column = |key: &Expr| match key {
            Expr::Column { index, .. } => value(*index),
            _ => None,
        };
        let key: Option<Vec<Datum>> = self.keys.iter().map(column).collect();
        let key = key.ok_or_else(|| Error::internal("a partition is looked for by an incomplete key"))?;
        match self.find(&key)? {
            None => Ok(None),
            Some(RoutePlace::Leaf(leaf)) => Ok(Some(*leaf)),
            Some(RoutePlace::Node { map, node }) => node.find_leaf(&|below: usize| {
                let position = map.iter().position(|at| *at == Some(below))?;
                value(position)
            }),
        }
    }

    /// The expressions of the keys here and below.
    pub fn exprs(&self) -> Vec<&Expr> {
        let below = self.places.iter().flat_map(|place| match place {
            RoutePlace::Node { node, .. } => node.exprs(),
            RoutePlace::Leaf(_) => Vec::new(),
        });
        self.keys.iter().chain(below).collect()
    }
}
