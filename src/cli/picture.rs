//! A small picture of an array that a person can judge: does it look like the field it should be?

use std::io::{self, Write};

use crate::memory::View;

use super::summary::{magnitude, short};

/// Widest picture in characters.
const WIDTH: usize = 64;
/// Tallest picture in characters. A coloured character shows two pixels, one above the other.
const HEIGHT: usize = 20;

/// Shades from low to high, for terminals without colour.
const SHADES: [char; 6] = [' ', '·', '░', '▒', '▓', '█'];
/// Heights from low to high, for rows of one dimension.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same shades in colour: from dark blue over green to yellow (indices of the 256-colour palette).
const COLOURS: [u8; 12] = [17, 18, 24, 30, 36, 35, 71, 77, 113, 149, 185, 227];

/// Draws one row for one dimension, and a map for more: the two longest dimensions, the others cut in the
/// middle. Arrays of fewer than four elements, or that hold nothing but NaN, are not drawn.
///
/// # Errors
/// What the writer says.
pub fn draw(out: &mut dyn Write, name: &str, view: &View<'_>, colour: bool) -> io::Result<()> {
    if view.len() < 4 {
        return Ok(());
    }
    let (slice, caption) = slice(name, view);
    let grid = Grid::of(&slice, if colour { 2 * HEIGHT } else { HEIGHT });
    let Some((low, high)) = grid.range() else { return Ok(()) };
    writeln!(out, "{caption}: {} {} {}", short(low), legend(grid.height > 1, colour), short(high))?;
    if grid.height == 1 {
        return write_bars(out, &grid, low, high);
    }
    if colour { write_coloured(out, &grid, low, high) } else { write_shades(out, &grid, low, high) }
}

/// The slice to draw and how a person would write it.
fn slice<'a>(name: &str, view: &View<'a>) -> (View<'a>, String) {
    let mut by_extent: Vec<usize> = (0..view.shape().len()).collect();
    // Stable: of equal extents the earlier dimension comes first.
    by_extent.sort_by_key(|&dimension| std::cmp::Reverse(view.shape()[dimension]));
    let kept: Vec<usize> = by_extent.into_iter().take(2).collect();
    let mut slice = view.clone();
    let mut index = Vec::new();
    for dimension in (0..view.shape().len()).rev() {
        if kept.contains(&dimension) {
            index.push(":".to_owned());
        } else {
            let middle = view.shape()[dimension] / 2;
            slice = slice.fixed(dimension, middle);
            index.push(middle.to_string());
        }
    }
    index.reverse();
    (slice, if view.shape().len() > 2 { format!("{name}[{}]", index.join(", ")) } else { name.to_owned() })
}

/// Means of rectangles of elements.
struct Grid {
    width: usize,
    height: usize,
    cells: Vec<f64>,
}

impl Grid {
    fn of(view: &View<'_>, tallest: usize) -> Grid {
        let (rows, columns) = match *view.shape() {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => (1, view.len()),
        };
        let (height, width) = (rows.clamp(1, tallest), columns.clamp(1, WIDTH));
        let mut sums = vec![(0.0f64, 0u32); height * width];
        for (position, element) in view.scalars().enumerate() {
            let (row, column) = (position / columns.max(1), position % columns.max(1));
            let cell = row * height / rows.max(1) * width + column * width / columns.max(1);
            let value = element.map_or(f64::NAN, magnitude);
            if let Some((sum, count)) = sums.get_mut(cell).filter(|_| value.is_finite()) {
                *sum += value;
                *count += 1;
            }
        }
        // Nothing finite in a cell gives NaN, which is drawn as such.
        Grid { width, height, cells: sums.into_iter().map(|(sum, count)| sum / f64::from(count)).collect() }
    }

    fn range(&self) -> Option<(f64, f64)> {
        let finite = self.cells.iter().copied().filter(|value| value.is_finite());
        let (low, high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        (low <= high).then_some((low, high))
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks(self.width.max(1))
    }
}

/// Which of `levels` a value has; `None` for NaN.
fn level(value: f64, low: f64, high: f64, levels: usize) -> Option<usize> {
    if !value.is_finite() {
        return None;
    }
    let share = if high > low { (value - low) / (high - low) } else { 0.5 };
    Some(((share * levels as f64) as usize).min(levels - 1))
}

fn legend(map: bool, colour: bool) -> String {
    match (map, colour) {
        (true, true) => {
            COLOURS.iter().map(|colour| format!("\x1b[48;5;{colour}m ")).collect::<String>() + "\x1b[0m"
        }
        (true, false) => SHADES.iter().collect(),
        (false, _) => BARS.iter().collect(),
    }
}

fn write_bars(out: &mut dyn Write, grid: &Grid, low: f64, high: f64) -> io::Result<()> {
    let bars = |value: &f64| level(*value, low, high, BARS.len()).map_or('?', |level| BARS[level]);
    writeln!(out, "  {}", grid.cells.iter().map(bars).collect::<String>())
}

fn write_shades(out: &mut dyn Write, grid: &Grid, low: f64, high: f64) -> io::Result<()> {
    let edge = "─".repeat(grid.width);
    writeln!(out, "  ┌{edge}┐")?;
    let shade = |value: &f64| level(*value, low, high, SHADES.len()).map_or('?', |level| SHADES[level]);
    for row in grid.rows() {
        writeln!(out, "  │{}│", row.iter().map(shade).collect::<String>())?;
    }
    writeln!(out, "  └{edge}┘")
}

fn write_coloured(out: &mut dyn Write, grid: &Grid, low: f64, high: f64) -> io::Result<()> {
    let hue = |value: Option<&f64>| {
        let level = value.and_then(|value| level(*value, low, high, COLOURS.len()));
        level.map_or(0, |level| COLOURS[level])
    };
    let rows: Vec<&[f64]> = grid.rows().collect();
    for pair in rows.chunks(2) {
        let mut line = String::from("  ");
        for column in 0..grid.width {
            let upper = hue(pair.first().and_then(|row| row.get(column)));
            let lower = hue(pair.get(1).and_then(|row| row.get(column)));
            line.push_str(&format!("\x1b[38;5;{upper};48;5;{lower}m▀"));
        }
        writeln!(out, "{line}\x1b[0m")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::DType;

    fn drawn(shape: &[usize], value: impl Fn(usize) -> f64, colour: bool) -> String {
        let count: usize = shape.iter().product();
        let bytes: Vec<u8> = (0..count).flat_map(|index| value(index).to_le_bytes()).collect();
        let strides = crate::exec::npz::dense_strides(8, shape, false);
        let mut out = Vec::new();
        draw(&mut out, "w", &View::new(&bytes, 0, DType::F64, shape, &strides), colour).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_ramp_goes_from_light_to_dark() {
        let text = drawn(&[2, 6], |index| (index % 6) as f64, false);
        assert_eq!(text, "w: 0  ·░▒▓█ 5\n  ┌──────┐\n  │ ·░▒▓█│\n  │ ·░▒▓█│\n  └──────┘\n");
    }

    #[test]
    fn one_dimension_is_a_row_of_bars() {
        assert_eq!(drawn(&[8], |index| index as f64, false), "w: 0 ▁▂▃▄▅▆▇█ 7\n  ▁▂▃▄▅▆▇█\n");
    }

    #[test]
    fn higher_dimensions_are_cut_in_the_middle() {
        let text = drawn(&[4, 3, 5], |index| index as f64, false);
        assert!(text.starts_with("w[:, 1, :]: 5 "), "{text}");
    }

    #[test]
    fn constants_nan_and_large_arrays_are_drawn() {
        assert!(drawn(&[3, 3], |_| 7.0, false).contains('▒'));
        assert!(drawn(&[2, 3], |index| if index == 1 { f64::NAN } else { 1.0 }, false).contains('?'));
        assert_eq!(drawn(&[3, 3], |_| f64::NAN, false), "");
        let tall = drawn(&[500, 500], |index| index as f64, false);
        assert_eq!(tall.lines().count(), 1 + 2 + HEIGHT);
        assert_eq!(drawn(&[500, 500], |index| index as f64, true).lines().count(), 1 + HEIGHT);
    }
}
