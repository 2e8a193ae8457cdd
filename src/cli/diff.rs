//! `pelton diff`: how two sides differ, field by field.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::check::compare::{compare_within, is_close, show};
use crate::check::guard;
use crate::check::places::Places;
use crate::check::recorded::Recorded;
use crate::check::side::{End, same_bits};
use crate::check::{FieldReport, Tolerance};
use crate::exec::npz;
use crate::memory::{Arguments, Binding, View};
use crate::scalar::{DType, Scalar};

use super::output::Output;
use super::picture;
use super::sides::SideArgs;
use super::{TextFormat, Usage, Verdict};

/// Run a program on two sides and compare every array.
///
/// Prints, for each array that differs, the share of close elements, the worst absolute, relative and ulp difference with
/// both values, counts of NaN and infinity, a histogram of distances, where the differences lie, and a picture.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton diff program.sdfgz --inputs in.npz --sides interp,native
  pelton diff program.sdfgz --inputs in.npz --recorded expected.npz --rtol 1e-9
  pelton diff before.sdfgz --after after.sdfgz --inputs in.npz --format json

Without --rtol and --atol, numbers have to agree bit for bit. Exit code 1 if they do not.")]
pub struct DiffArgs {
    #[command(flatten)]
    sides: SideArgs,
    /// Arrays that somebody recorded take the place of the first side.
    #[arg(long, value_name = "EXPECTED.npz")]
    recorded: Option<PathBuf>,
    /// Write the difference of the worst array as a picture (`.ppm`).
    #[arg(long, value_name = "FILE.ppm")]
    picture: Option<PathBuf>,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// One array on both sides.
struct Compared {
    report: FieldReport,
    places: Places,
    /// NaNs and infinities, left and right.
    special: [(usize, usize); 2],
    /// Absolute differences, row by row.
    difference: Vec<u8>,
    shape: Vec<usize>,
}

/// Runs the subcommand.
pub fn run(args: &DiffArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let sides = args.sides.open(args.recorded.as_deref())?;
    guard::capture_panics();
    let right = sides.right()?;
    let (right_args, right_end) = right.run();
    finished(&right.side.name, right_end)?;
    let tolerance = sides.tolerance;
    let (left_name, compared) = match &sides.recorded {
        Some((source, recorded)) => (source.clone(), against_recorded(recorded, &right_args, tolerance)?),
        None => {
            let left = sides.left()?;
            let (left_args, left_end) = left.run();
            finished(&left.side.name, left_end)?;
            (left.side.name.clone(), against_run(&left_args, &right_args, tolerance))
        }
    };
    if let (Some(path), Some(worst)) = (&args.picture, compared.iter().find(|field| !field.report.passes())) {
        write_picture(path, worst)?;
    }
    let passes = compared.iter().all(|field| field.report.passes());
    match args.format {
        TextFormat::Json => {
            let fields: Vec<_> = compared.iter().map(to_json).collect();
            let report =
                json!({ "left": left_name, "right": right.side.name, "agree": passes, "fields": fields });
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        TextFormat::Text => {
            writeln!(out, "{} compared with {left_name}", right.side.name)?;
            for field in &compared {
                write_text(out, field)?;
            }
        }
    }
    Ok(if passes { Verdict::Good } else { Verdict::Failed })
}

fn finished(name: &str, end: End) -> anyhow::Result<()> {
    match end {
        End::Done => Ok(()),
        End::Refused(diagnostic) => Err(diagnostic.inside(format!("on {name}")).into()),
        End::Fault(fault) => Err(crate::diag::Diagnostic::from(fault).inside(format!("on {name}")).into()),
        End::Panic(message) => Err(anyhow::anyhow!("{name} panicked: {message}")),
    }
}

fn against_run(left: &Arguments<'_>, right: &Arguments<'_>, tolerance: Option<Tolerance>) -> Vec<Compared> {
    let mut compared = Vec::new();
    for (name, binding) in &left.bindings {
        let ours = view(left, binding);
        let theirs = right.get(name).and_then(|binding| view(right, binding));
        if let (Some(left), Some(right)) = (ours, theirs) {
            compared.push(compare_views(name, &left, &right, tolerance));
        }
    }
    compared
}

/// Arrays that were recorded at the end of the program; what was recorded on the way is for `locate`.
fn against_recorded(
    recorded: &[Recorded],
    right: &Arguments<'_>,
    tolerance: Option<Tolerance>,
) -> anyhow::Result<Vec<Compared>> {
    let mut compared = Vec::new();
    for recorded in recorded.iter().filter(|recorded| recorded.moment.is_none()) {
        if let Some(right) = right.get(&recorded.container).and_then(|binding| view(right, binding)) {
            let right = recorded.part_of(right);
            compared.push(compare_views(&recorded.name, &recorded.view(), &right, tolerance));
        }
    }
    if compared.is_empty() {
        return Err(Usage("the recorded file has no array that the program has".to_owned()).into());
    }
    Ok(compared)
}

fn view<'a>(args: &'a Arguments<'_>, binding: &Binding) -> Option<View<'a>> {
    let Binding::Array { buffer, offset, ty, shape, strides } = binding else { return None };
    Some(View::new(args.buffers.get(*buffer)?.bytes(), *offset, ty.scalar()?, shape, strides))
}

fn compare_views(name: &str, left: &View<'_>, right: &View<'_>, tolerance: Option<Tolerance>) -> Compared {
    let report = compare_within(name, right, left, tolerance);
    let differ = |a: Scalar, b: Scalar| !is_close(b, a, tolerance);
    let places = Places::of(left, right, &differ);
    let special = [left, right].map(|view| {
        view.scalars().flatten().fold((0, 0), |(nan, infinite), value| {
            let z = value.as_complex();
            (
                nan + usize::from(z.re.is_nan() || z.im.is_nan()),
                infinite + usize::from(z.re.is_infinite() || z.im.is_infinite()),
            )
        })
    });
    let mut difference = Vec::new();
    for (a, b) in left.scalars().zip(right.scalars()) {
        let distance = match (a, b) {
            (Some(a), Some(b)) if !same_bits(a, b) => (a.as_complex() - b.as_complex()).norm(),
            _ => 0.0,
        };
        difference.extend(distance.to_le_bytes());
    }
    Compared { report, places, special, difference, shape: left.shape().to_vec() }
}

fn difference_view(field: &Compared) -> View<'_> {
    let strides = npz::dense_strides(8, &field.shape, false);
    View::new(&field.difference, 0, DType::F64, &field.shape, &strides)
}

fn to_json(field: &Compared) -> serde_json::Value {
    let report = &field.report;
    json!({
        "name": report.name,
        "agrees": report.passes(),
        "elements": report.elements,
        "close": report.close,
        "share": report.share(),
        "problem": report.problem,
        "largest_absolute": report.largest_absolute,
        "largest_relative": report.largest_relative,
        "worst": report.worst.as_ref().map(|worst| json!({
            "index": worst.index,
            "left": show(worst.expected),
            "right": show(worst.actual),
            "absolute": worst.absolute,
            "relative": worst.relative,
            "ulp": worst.ulp,
        })),
        "nan": { "left": field.special[0].0, "right": field.special[1].0, "both": report.nan },
        "infinite": { "left": field.special[0].1, "right": field.special[1].1 },
        "ulp_histogram": report.ulp_histogram,
        "places": field.places.to_json(),
    })
}

fn write_text(out: &mut Output, field: &Compared) -> anyhow::Result<()> {
    writeln!(out, "{}", field.report)?;
    let [left, right] = field.special;
    if left != (0, 0) || right != (0, 0) {
        writeln!(out, "    NaN {} and {}, infinite {} and {}", left.0, right.0, left.1, right.1)?;
    }
    if field.report.passes() || field.report.problem.is_some() {
        return Ok(());
    }
    writeln!(out, "    where: {}", field.places)?;
    if let Some(first) = &field.places.first {
        writeln!(out, "    first at {first:?}")?;
    }
    let largest = field.report.ulp_histogram.iter().max().copied().unwrap_or(0).max(1);
    for (bucket, &count) in field.report.ulp_histogram.iter().enumerate().filter(|(_, count)| **count > 0) {
        let range = match bucket {
            0 => "0".to_owned(),
            1 => "1".to_owned(),
            65 => "NaN on one side".to_owned(),
            _ => format!("below 2^{bucket}"),
        };
        let bar = "#".repeat((count * 40).div_ceil(largest));
        writeln!(out, "    {range:>16} ulp {count:>9} {bar}")?;
    }
    let view = difference_view(field);
    if view.len() >= 4 {
        let colour = out.colour;
        picture::draw(out, &format!("|difference| of {}", field.report.name), &view, colour)?;
    }
    Ok(())
}

/// The two longest dimensions as a grey picture, black where the sides agree; other dimensions at their worst index.
fn write_picture(path: &Path, field: &Compared) -> anyhow::Result<()> {
    let view = difference_view(field);
    let mut dims: Vec<usize> = (0..field.shape.len()).collect();
    dims.sort_by_key(|&dim| std::cmp::Reverse(field.shape[dim]));
    let mut shown: Vec<usize> = dims.into_iter().take(2).collect();
    shown.sort_unstable();
    let mut index =
        field.report.worst.as_ref().map_or_else(|| vec![0; field.shape.len()], |worst| worst.index.clone());
    let extent = |at: usize| shown.get(at).map_or(1, |&dim| field.shape[dim]);
    let (height, width) = if shown.len() == 2 { (extent(0), extent(1)) } else { (1, extent(0)) };
    let mut values = Vec::with_capacity(width * height);
    for row in 0..height {
        for column in 0..width {
            let place: &[usize] = if shown.len() == 2 { &[row, column] } else { &[column] };
            for (&dim, &at) in shown.iter().zip(place) {
                index[dim] = at;
            }
            values.push(view.get(&index).map_or(0.0, Scalar::as_f64));
        }
    }
    let largest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    for value in values {
        // On a logarithmic scale of twelve decades; what is not finite is red.
        let shade = match value {
            0.0 => 0.0,
            value => (1.0 + (value / largest).log10() / 12.0).clamp(0.1, 1.0),
        };
        let grey = (shade * 255.0) as u8;
        bytes.extend(if value.is_finite() { [grey, grey, grey] } else { [255, 0, 0] });
    }
    Ok(std::fs::write(path, bytes)?)
}
