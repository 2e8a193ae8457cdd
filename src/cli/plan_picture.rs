//! A plan as a picture: time to the right, offsets upwards, one box per transient.

use std::fmt::Write;
use std::path::Path;

use crate::analysis::liveness::Class;
use crate::diag::{Diagnostic, Result};
use crate::memory::plan::ProgramPlan;

/// Size of the drawing without its margins.
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 600.0;
const MARGIN: f64 = 70.0;
/// Boxes smaller than this have no label.
const LABEL_HEIGHT: f64 = 11.0;

/// Writes the shared slab as SVG.
pub fn write(path: &Path, plan: &ProgramPlan) -> Result<()> {
    let text = picture(plan).map_err(|_| Diagnostic::error("P0446", "the picture cannot be written"))?;
    std::fs::write(path, text)
        .map_err(|error| Diagnostic::error("P0446", format!("cannot write {}: {error}", path.display())))
}

fn picture(plan: &ProgramPlan) -> std::result::Result<String, std::fmt::Error> {
    let moments = f64::from(plan.liveness.moments.max(1));
    let top = plan.shared.peak.max(1) as f64 * 1.05;
    let x = |moment: f64| MARGIN + moment / moments * WIDTH;
    let y = |bytes: f64| MARGIN + HEIGHT - bytes / top * HEIGHT;
    let mut svg = String::new();
    let (width, height) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10">
<rect width="{width}" height="{height}" fill="white"/>
<text x="{MARGIN}" y="24" font-size="14">peak {}, lower bound {}, all transients {} bytes</text>"#,
        plan.shared.peak, plan.shared.lower_bound, plan.shared.total
    )?;
    for (begin, label) in &plan.liveness.states {
        let at = x(f64::from(*begin));
        writeln!(
            svg,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="{MARGIN}" y2="{:.1}" stroke="#eee"><title>{}</title></line>"##,
            MARGIN + HEIGHT,
            escaped(label)
        )?;
    }
    let mut number = 0_u32;
    for (transient, row) in plan.transients().filter(|(transient, _)| transient.class == Class::Shared) {
        let (Some(span), Some(offset), Some(bytes)) = (transient.span, row.offset, row.bytes) else {
            continue;
        };
        let (left, right) = (x(f64::from(span.first)), x(f64::from(span.last) + 1.0));
        let (low, high) = (y(offset as f64), y((offset + bytes) as f64));
        // Neighbouring numbers get distant colours.
        let hue = f64::from(number) * 137.508 % 360.0;
        number += 1;
        let name = escaped(&transient.path);
        writeln!(
            svg,
            r#"<rect x="{left:.1}" y="{high:.1}" width="{:.1}" height="{:.2}" fill="hsl({hue:.0},60%,75%)" stroke="hsl({hue:.0},60%,40%)" stroke-width="0.5"><title>{name}: {bytes} bytes at {offset}, {}..={}</title></rect>"#,
            right - left,
            low - high,
            span.first,
            span.last
        )?;
        let short = name.rsplit('/').next().unwrap_or_default();
        if low - high >= LABEL_HEIGHT && right - left > 6.0 * short.len() as f64 {
            writeln!(
                svg,
                r#"<text x="{:.1}" y="{:.1}">{short}</text>"#,
                left + 3.0,
                (low + high) / 2.0 + 3.5
            )?;
        }
    }
    let mut steps = String::new();
    let mut before = 0;
    for (moment, bytes) in plan.demand() {
        let at = x(f64::from(moment));
        write!(steps, "{at:.1},{:.1} {at:.1},{:.1} ", y(before as f64), y(bytes as f64))?;
        before = bytes;
    }
    writeln!(
        svg,
        r#"<polyline points="{steps}" fill="none" stroke="black" stroke-width="1"><title>alive</title></polyline>"#
    )?;
    let bound = y(plan.shared.lower_bound as f64);
    writeln!(
        svg,
        r#"<line x1="{MARGIN}" x2="{:.1}" y1="{bound:.1}" y2="{bound:.1}" stroke="red" stroke-dasharray="6 4"/>
<text x="{:.1}" y="{:.1}" fill="red">lower bound</text>
<text x="{MARGIN}" y="{:.1}">time, {} moments</text>
</svg>"#,
        MARGIN + WIDTH,
        MARGIN + WIDTH + 4.0,
        bound + 3.5,
        MARGIN + HEIGHT + 24.0,
        plan.liveness.moments
    )?;
    Ok(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
