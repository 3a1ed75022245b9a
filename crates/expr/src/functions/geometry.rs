//! Points and figures.
//!
//! # Not done
//! Most of what PostgreSQL computes with figures: distances but between points, intersections, containment, arithmetic of
//! points, operator classes.

use ochre_base::{Error, Result, SqlState};
use ochre_types::geometry::{EPSILON, box_of, coordinates, figure, is_closed, line_through};
use ochre_types::{Datum, oids};

use super::Implementations;
use crate::errors::wrong_form;

/// A relation of two points.
type PointTest = fn([f64; 2], [f64; 2]) -> bool;

pub(super) fn register(r: &mut Implementations) {
    r.row("construct_point", |_, args| Ok(stored(&[float(&args[0])?, float(&args[1])?])));
    r.row("lseg_construct", |_, args| {
        let ([x1, y1], [x2, y2]) = (point(&args[0])?, point(&args[1])?);
        Ok(stored(&[x1, y1, x2, y2]))
    });
    r.row("points_box", |_, args| {
        let ([x1, y1], [x2, y2]) = (point(&args[0])?, point(&args[1])?);
        Ok(stored(&box_of(x1, y1, x2, y2)))
    });
    r.row("point_box", |_, args| {
        let [x, y] = point(&args[0])?;
        Ok(stored(&[x, y, x, y]))
    });
    r.row("cr_circle", |_, args| {
        let [x, y] = point(&args[0])?;
        Ok(stored(&[x, y, float(&args[1])?]))
    });
    r.row("line_construct_pp", |_, args| {
        let ([x1, y1], [x2, y2]) = (point(&args[0])?, point(&args[1])?);
        if near(x1, x2) && near(y1, y2) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid line specification: must be two distinct points",
            ));
        }
        Ok(stored(&line_through(x1, y1, x2, y2)))
    });
    r.row("path_npoints", |_, args| Ok(Datum::Int32(values(oids::PATH, &args[0])?.len() as i32 / 2)));
    r.row("poly_npoints", |_, args| Ok(Datum::Int32(values(oids::POLYGON, &args[0])?.len() as i32 / 2)));
    r.row("path_isclosed", |_, args| Ok(Datum::Bool(is_closed(bytes(&args[0])?))));
    r.row("path_isopen", |_, args| Ok(Datum::Bool(!is_closed(bytes(&args[0])?))));
    r.row("path_length", |_, args| {
        let points = values(oids::PATH, &args[0])?;
        let mut length = 0.0;
        for (i, [x, y]) in points.as_chunks::<2>().0.iter().enumerate() {
            let before = match i {
                0 if !is_closed(bytes(&args[0])?) => continue,
                0 => points.len() - 2,
                _ => 2 * (i - 1),
            };
            length += (x - points[before]).hypot(y - points[before + 1]);
        }
        Ok(Datum::Float64(length))
    });
    r.row("lseg_length", |_, args| {
        let [x1, y1, x2, y2] = numbers(oids::LSEG, &args[0])?;
        Ok(Datum::Float64((x1 - x2).hypot(y1 - y2)))
    });
    r.row("point_distance", |_, args| {
        let ([x1, y1], [x2, y2]) = (point(&args[0])?, point(&args[1])?);
        Ok(Datum::Float64((x1 - x2).hypot(y1 - y2)))
    });
    r.row("box_area", |_, args| {
        let [high_x, high_y, low_x, low_y] = numbers(oids::BOX, &args[0])?;
        Ok(Datum::Float64((high_x - low_x) * (high_y - low_y)))
    });
    r.row("circle_area", |_, args| {
        let [_, _, radius] = numbers(oids::CIRCLE, &args[0])?;
        Ok(Datum::Float64(radius * radius * std::f64::consts::PI))
    });
    r.row("circle_center", |_, args| {
        let [x, y, _] = numbers(oids::CIRCLE, &args[0])?;
        Ok(stored(&[x, y]))
    });
    r.row("box_center", |_, args| {
        let [high_x, high_y, low_x, low_y] = numbers(oids::BOX, &args[0])?;
        Ok(stored(&[(high_x + low_x) / 2.0, (high_y + low_y) / 2.0]))
    });
    r.row("box_overlap", |_, args| {
        let [ax, ay, bx, by] = numbers(oids::BOX, &args[0])?;
        let [cx, cy, dx, dy] = numbers(oids::BOX, &args[1])?;
        Ok(Datum::Bool(at_most(bx, cx) && at_most(dx, ax) && at_most(by, cy) && at_most(dy, ay)))
    });
    let relations: [(&'static str, PointTest); 6] = [
        ("point_eq", |a, b| near(a[0], b[0]) && near(a[1], b[1])),
        ("point_ne", |a, b| !(near(a[0], b[0]) && near(a[1], b[1]))),
        ("point_left", |a, b| a[0] + EPSILON < b[0]),
        ("point_right", |a, b| b[0] + EPSILON < a[0]),
        ("point_above", |a, b| b[1] + EPSILON < a[1]),
        ("point_below", |a, b| a[1] + EPSILON < b[1]),
    ];
    for (name, holds) in relations {
        r.row(name, move |_, args| Ok(Datum::Bool(holds(point(&args[0])?, point(&args[1])?))));
    }
}

fn bytes(value: &Datum) -> Result<&[u8]> {
    value.as_bytes().ok_or_else(|| wrong_form("a figure"))
}

fn float(value: &Datum) -> Result<f64> {
    if let Datum::Float64(value) = value { Ok(*value) } else { Err(wrong_form("a float")) }
}

fn values(ty: ochre_base::Oid, value: &Datum) -> Result<Vec<f64>> {
    Ok(coordinates(ty, bytes(value)?))
}

fn numbers<const N: usize>(ty: ochre_base::Oid, value: &Datum) -> Result<[f64; N]> {
    values(ty, value)?.try_into().map_err(|_| wrong_form("a figure"))
}

fn point(value: &Datum) -> Result<[f64; 2]> {
    numbers(oids::POINT, value)
}

fn stored(values: &[f64]) -> Datum {
    Datum::Bytes(figure(values).into())
}

/// Equal as far as figures tell; NaN equals itself.
fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= EPSILON || a.is_nan() && b.is_nan()
}

fn at_most(a: f64, b: f64) -> bool {
    a <= b + EPSILON
}
