//! Arrays that somebody recorded: another compiler's run, captured at access nodes or at its end.
//!
//! They come in an `.npz` file. The name of an array says of what and when it is:
//!
//! | name | the container |
//! |---|---|
//! | `NAME` | when the program has ended |
//! | `STATE/NAME` | when that state of the outermost graph has run for the first time |
//! | `STATE/NAME#K` | when it has run for the (K+1)-th time |

use serde_json::Value;

use crate::diag::{Diagnostic, Result};
use crate::exec::npz::{FileArray, FileArrays, Item};
use crate::memory::{PythonSlice, View, slice_in};
use crate::scalar::DType;

use super::gtir_case::slices;

/// One array of a recording.
#[derive(Debug)]
pub struct Recorded {
    /// Its name in the file.
    pub name: String,
    /// The state after which it was taken, and for which time that had run, from 1 on; `None`: at the end.
    pub moment: Option<(String, i64)>,
    /// The container.
    pub container: String,
    array: FileArray,
    dtype: DType,
    /// Which part of the container it is to be compared with; of GTIR cases only.
    of_container: Vec<PythonSlice>,
    of_array: Vec<PythonSlice>,
}

impl Recorded {
    /// The arrays of numbers of a file. `description` is the `case.json` beside it, which says for GTIR cases what part of a field
    /// was recorded; null if there is none.
    ///
    /// # Errors
    /// `P0436`: a name that says nothing, or no array of numbers.
    pub fn all(files: FileArrays, description: &Value) -> Result<Vec<Recorded>> {
        let mut all = Vec::new();
        for (name, array) in files {
            let Item::Number(dtype) = array.item else { continue };
            let (moment, container) = match name.rsplit_once('/') {
                None => (None, name.clone()),
                Some((state, rest)) => {
                    let (container, turn) = match rest.split_once('#') {
                        None => (rest, Some(0)),
                        Some((container, turn)) => (container, turn.parse::<u32>().ok()),
                    };
                    let Some(turn) = turn else {
                        return Err(Diagnostic::error(
                            "P0436",
                            format!("`{name}` does not say when it was recorded"),
                        )
                        .with_help("names are NAME, STATE/NAME or STATE/NAME#K with K = 0, 1, ..."));
                    };
                    (Some((state.to_owned(), i64::from(turn) + 1)), container.to_owned())
                }
            };
            let part = |key: &str| slices(&description["outputs"][&container][key]);
            let (of_container, of_array) = match moment {
                None => (part("field_slice"), part("expected_slice")),
                Some(_) => (Vec::new(), Vec::new()),
            };
            all.push(Recorded { name, moment, container, array, dtype, of_container, of_array });
        }
        match all.is_empty() {
            true => Err(Diagnostic::error("P0436", "the recording holds no array of numbers")),
            false => Ok(all),
        }
    }

    /// What was recorded.
    pub fn view(&self) -> View<'_> {
        View::new(&self.array.bytes, 0, self.dtype, &self.array.shape, &self.array.strides())
            .sliced(&self.of_array)
    }

    /// The part of the container that was recorded.
    pub fn part_of<'a>(&self, container: View<'a>) -> View<'a> {
        container.sliced(&self.of_container)
    }

    /// Where an element of that part lies in a container of `shape`.
    pub fn index_in(&self, shape: &[usize], mut index: Vec<usize>) -> Vec<usize> {
        for ((at, slice), &extent) in index.iter_mut().zip(&self.of_container).zip(shape) {
            let [start, _, step] = slice_in(slice, extent).map(|number| usize::try_from(number).unwrap_or(0));
            *at = start + *at * step;
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> FileArrays {
        let array = |name: &&str| {
            let array = FileArray {
                item: Item::Number(DType::F64),
                shape: vec![4],
                fortran_order: false,
                bytes: (0..4).flat_map(|at| f64::from(at).to_le_bytes()).collect(),
            };
            ((*name).to_owned(), array)
        };
        names.iter().map(array).collect()
    }

    #[test]
    fn names_say_of_what_and_when() {
        let all = Recorded::all(files(&["a", "s/a", "outer/s/a#3"]), &Value::Null).unwrap();
        let moments: Vec<_> = all.iter().map(|recorded| recorded.moment.clone()).collect();
        assert_eq!(moments, [None, Some(("s".to_owned(), 1)), Some(("outer/s".to_owned(), 4))]);
        assert!(all.iter().all(|recorded| recorded.container == "a"));
        assert_eq!(Recorded::all(files(&["s/a#last"]), &Value::Null).unwrap_err().code, "P0436");
        assert_eq!(Recorded::all(FileArrays::new(), &Value::Null).unwrap_err().code, "P0436");
    }

    #[test]
    fn a_case_says_which_part_of_a_field_was_recorded() {
        let description = serde_json::json!({ "outputs": { "a": {
            "field_slice": [[-4, null, 2]], "expected_slice": [[1, 3, 1]],
        } } });
        let all = Recorded::all(files(&["a"]), &description).unwrap();
        let field: Vec<u8> = (0..6).flat_map(|at| f64::from(at).to_le_bytes()).collect();
        let part = all[0].part_of(View::new(&field, 0, DType::F64, &[6], &[8]));
        let numbers = |view: View<'_>| view.scalars().map(|x| x.unwrap().as_f64()).collect::<Vec<_>>();
        assert_eq!(numbers(part), [2.0, 4.0]);
        assert_eq!(numbers(all[0].view()), [1.0, 2.0]);
        assert_eq!(all[0].index_in(&[6], vec![1]), [4]);
    }
}
