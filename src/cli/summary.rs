//! What an array holds, in one line.

use serde_json::{Value, json};

use crate::check::compare::show;
use crate::memory::View;
use crate::scalar::{DType, Scalar};

/// Statistics of an array. Of complex numbers the magnitudes count.
pub struct Summary {
    /// Element type.
    pub dtype: DType,
    /// Extent per dimension.
    pub shape: Vec<usize>,
    /// Smallest number; `None` if there is none but NaN.
    pub min: Option<f64>,
    /// Largest number.
    pub max: Option<f64>,
    /// Mean of all numbers that are not NaN.
    pub mean: Option<f64>,
    /// How many elements are NaN.
    pub nan: usize,
    /// The value, if there is only one.
    pub single: Option<Scalar>,
}

/// The number that stands for an element in statistics and pictures.
pub fn magnitude(scalar: Scalar) -> f64 {
    if scalar.dtype().is_complex() {
        let z = scalar.as_complex();
        z.re.hypot(z.im)
    } else {
        scalar.as_f64()
    }
}

impl Summary {
    /// Looks at every element.
    pub fn of(view: &View<'_>) -> Summary {
        let (mut min, mut max, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        let (mut count, mut nan) = (0usize, 0usize);
        for element in view.scalars().flatten() {
            let value = magnitude(element);
            if value.is_nan() {
                nan += 1;
                continue;
            }
            count += 1;
            (min, max, sum) = (min.min(value), max.max(value), sum + value);
        }
        let any = |value: f64| (count > 0).then_some(value);
        Summary {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            min: any(min),
            max: any(max),
            mean: any(sum / count as f64),
            nan,
            single: (view.len() == 1).then(|| view.scalars().next().flatten()).flatten(),
        }
    }

    /// Cells of a table: type, shape, min, max, mean, NaN.
    pub fn cells(&self) -> [String; 6] {
        let number = |value: Option<f64>| value.map_or_else(|| "-".into(), short);
        let [min, max, mean] = match self.single {
            Some(value) => [show(value), String::new(), String::new()],
            None => [number(self.min), number(self.max), number(self.mean)],
        };
        [self.dtype.name().into(), format!("{:?}", self.shape), min, max, mean, self.nan.to_string()]
    }

    /// As JSON.
    pub fn json(&self, name: &str) -> Value {
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => json!(value),
            Some(value) => json!(value.to_string()),
            None => Value::Null,
        };
        json!({
            "name": name,
            "dtype": self.dtype.name(),
            "shape": self.shape,
            "min": number(self.min),
            "max": number(self.max),
            "mean": number(self.mean),
            "nan": self.nan,
        })
    }
}

/// Six digits are enough to judge by.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e6 {
        format!("{value}")
    } else if (1e-3..1e6).contains(&size) {
        let digits = 5 - size.log10().floor() as i32;
        format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
    } else {
        format!("{value:.5e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_there() {
        let bytes: Vec<u8> = [1.0, f64::NAN, 4.0, -2.0].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
        let summary = Summary::of(&View::new(&bytes, 0, DType::F64, &[2, 2], &[16, 8]));
        assert_eq!(
            (summary.min, summary.max, summary.mean, summary.nan),
            (Some(-2.0), Some(4.0), Some(1.0), 1)
        );
        let empty = Summary::of(&View::new(&[], 0, DType::F64, &[0], &[8]));
        assert_eq!((empty.min, empty.mean, empty.nan), (None, None, 0));
    }

    #[test]
    fn short_numbers() {
        for (value, text) in [(0.0, "0"), (3.0, "3"), (0.123456789, "0.123457"), (1234.5678, "1234.57")] {
            assert_eq!(short(value), text);
        }
        assert_eq!(short(1e-9), "1.00000e-9");
    }
}
